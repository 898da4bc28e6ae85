/* page.h: texts that are built into jeprof.
 *
 * embed.cmake makes them of files of page/, as arrays with a 0 behind.
 */
#ifndef JEPROF_PAGE_H
#define JEPROF_PAGE_H

#include <stddef.h>

/* The page of --html, less its data; empty when it could not be built. */
extern const char page_html[];
extern const size_t page_html_size;

/* The script and the style of --flame. */
extern const char flame_script[];
extern const size_t flame_script_size;
extern const char flame_style[];
extern const size_t flame_style_size;

#endif
