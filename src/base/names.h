/* names.h: how the exported names are spelled.
 *
 * Sanitizer builds export je_malloc and so on, so that the sanitizer keeps malloc; all other builds
 * export the plain names.
 */
#ifndef BASE_NAMES_H
#define BASE_NAMES_H

#if DG_PREFIXED
#define API(name) je_##name
#else
#define API(name) name
#endif

#define EXPORT __attribute__((visibility("default")))

#endif
