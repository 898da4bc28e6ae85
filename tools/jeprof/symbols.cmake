# symbols.cmake: jeprof_symbols, the part of jeprof that reads ELF files. It needs libdw and libelf
# of elfutils, and libiberty; without them there is no such target, and one line says so.
include(CheckSymbolExists)
check_symbol_exists(__GLIBC__ features.h DG_GLIBC)
find_path(DG_LIBDW_INCLUDE elfutils/libdwfl.h)
find_library(DG_LIBDW dw)
find_library(DG_LIBELF elf)
find_path(DG_LIBIBERTY_INCLUDE libiberty/demangle.h)
find_library(DG_LIBIBERTY iberty)
mark_as_advanced(DG_LIBDW_INCLUDE DG_LIBDW DG_LIBELF DG_LIBIBERTY_INCLUDE DG_LIBIBERTY)

if(DG_GLIBC AND NOT CMAKE_CROSSCOMPILING AND DG_LIBDW_INCLUDE AND DG_LIBDW AND DG_LIBELF
    AND DG_LIBIBERTY_INCLUDE AND DG_LIBIBERTY)
  add_library(jeprof_symbols STATIC symbols.c symbol_file.c symbol_name.c symbol_table.c elf_file.c
    dwarf_scopes.c text_pool.c)
  target_compile_definitions(jeprof_symbols PRIVATE _GNU_SOURCE)
  target_include_directories(jeprof_symbols PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}
    PRIVATE ${DG_LIBDW_INCLUDE} ${DG_LIBIBERTY_INCLUDE})
  target_link_libraries(jeprof_symbols PRIVATE dg_warnings
    PUBLIC ${DG_LIBDW} ${DG_LIBELF} ${DG_LIBIBERTY})
else()
  message(STATUS "jeprof is left out: it needs libdw-dev, libelf-dev and libiberty-dev")
endif()
