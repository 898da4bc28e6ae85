/* options_end_table.h: ends a use of options_table.h: its macros are free again.
 *
 * No include guard: the file is included after each use of the table.
 */
#undef BOOLEAN
#undef INTEGER
#undef FRACTION
#undef CHOICE
#undef LETTERS
#undef TEXT
#undef CLASSES
#undef ABSENT
