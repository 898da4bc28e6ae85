/* dump_maps.h: what gives the addresses of a heap profile a meaning: the mappings of the process,
 * and the build ids of the files among them.
 *
 *     MAPPED_LIBRARIES:
 *     7f2a1ae1e000-7f2a1ae44000 r--p 00000000 fe:00 332835   /usr/lib/x86_64-linux-gnu/libc.so.6
 *     ...
 *     BUILD_IDS:
 *     7f2a1ae1e000 a9a6b6ab7eb46e5d0b8e4e0f3b5f6f2a2d3a2b11 /usr/lib/x86_64-linux-gnu/libc.so.6
 *
 * The first section is the text of /proc/self/maps. A line of the second has where the file's first
 * page is mapped, its build id as its ELF note has it, and its path; readers that do not know the
 * section pass over it, jemalloc's script among them.
 */
#ifndef PROFILE_DUMP_MAPS_H
#define PROFILE_DUMP_MAPS_H

/* Writes both sections to the dump_file. */
void dump_maps_write(void);

#endif
