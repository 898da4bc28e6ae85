/* report.h: malloc_stats_print's text.
 *
 * The headings and their order are interface: programs parse them. Nothing here allocates.
 */
#ifndef CONTROL_REPORT_H
#define CONTROL_REPORT_H

/* Prints statistics as text through write(opaque, text); NULL: to where messages go. The letters
 * choose sections: g leaves out general information, a arenas, b bins. Refreshes the snapshot. Any
 * thread. */
void report_print(void (*write)(void *opaque, const char *text), void *opaque, const char *letters);

#endif
