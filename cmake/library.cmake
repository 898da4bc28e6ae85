# The three libraries of one list of sources: libjemalloc.so.2, libjemalloc.a, libjemalloc_pic.a.
file(GLOB DG_SOURCES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/*/*.c
  ${CMAKE_SOURCE_DIR}/src/os/linux/*.c)
list(FILTER DG_SOURCES EXCLUDE REGEX dso_handle)
# What few programs ever call goes last, out of the pages that each start reads.
set(DG_COLD_SOURCES ${DG_SOURCES})
list(FILTER DG_COLD_SOURCES INCLUDE
  REGEX "/(profile/.*|control/.*|config/option_.*|base/(check|print|text))\\.c")
list(REMOVE_ITEM DG_SOURCES ${DG_COLD_SOURCES})
list(APPEND DG_SOURCES ${DG_COLD_SOURCES})

# What each start runs goes first: a linker script made from the list of tools/start_order.
set(DG_LAYOUT ${CMAKE_BINARY_DIR}/layout.ld)
set(start_list ${CMAKE_SOURCE_DIR}/cmake/start_functions.txt)
file(STRINGS ${start_list} start_functions REGEX "^[A-Za-z_]")
list(TRANSFORM start_functions REPLACE "(.+)" "    *(.text.\\1 .text.\\1.*)")
list(JOIN start_functions "\n" DG_START_SECTIONS)
configure_file(${CMAKE_SOURCE_DIR}/cmake/layout.ld.in ${DG_LAYOUT} @ONLY)
include(CheckLinkerFlag)
check_linker_flag(C "-Wl,-T,${DG_LAYOUT}" DG_HAS_LAYOUT)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${start_list})

# What the shared library exports is src/symbols.txt, turned into an anonymous version script: the
# names stay unversioned, as programs built against jemalloc expect them.
set(DG_VERSION_SCRIPT ${CMAKE_BINARY_DIR}/exports.map)
file(STRINGS ${CMAKE_SOURCE_DIR}/src/symbols.txt symbol_lines REGEX "^[A-Za-z_]")
list(JOIN symbol_lines ";\n    " symbol_list)
file(WRITE ${DG_VERSION_SCRIPT} "{\n  global:\n    ${symbol_list};\n  local:\n    *;\n};\n")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/symbols.txt)

add_library(dg_options INTERFACE)
target_include_directories(dg_options INTERFACE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/include)
target_compile_definitions(dg_options INTERFACE _GNU_SOURCE
  DG_DEBUG=$<BOOL:${DG_DEBUG}> DG_PREFIXED=$<BOOL:${DG_PREFIXED}> JEMALLOC_NO_DEMANGLE)
# -fexceptions lets an exception of a new_handler unwind through operator new. Paths are mapped so
# that two builds in two folders are the same bytes.
target_compile_options(dg_options INTERFACE -fvisibility=hidden -fexceptions -fno-builtin-malloc
  -fno-builtin-calloc -fno-builtin-realloc -fno-builtin-free -fno-strict-aliasing
  -ffunction-sections -fdata-sections
  -ffile-prefix-map=${CMAKE_BINARY_DIR}=build
  -ffile-prefix-map=${CMAKE_SOURCE_DIR}=. -fno-semantic-interposition)
if(NOT DG_SANITIZE)
  target_compile_options(dg_options INTERFACE -ftls-model=initial-exec)
endif()

function(dg_library target type position_independent)
  add_library(${target} ${type} ${DG_SOURCES})
  target_link_libraries(${target} PRIVATE dg_options dg_warnings)
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ${position_independent})
endfunction()

dg_library(jemalloc_static STATIC OFF)
set_target_properties(jemalloc_static PROPERTIES OUTPUT_NAME jemalloc)
dg_library(jemalloc_pic STATIC ON)
set_target_properties(jemalloc_pic PROPERTIES OUTPUT_NAME jemalloc_pic)

if(NOT DG_PREFIXED)
  dg_library(jemalloc SHARED ON)
  target_sources(jemalloc PRIVATE ${CMAKE_SOURCE_DIR}/src/os/linux/dso_handle.c)
  set_target_properties(jemalloc PROPERTIES SOVERSION 2
    LINK_DEPENDS "${DG_VERSION_SCRIPT};${DG_LAYOUT}")
  target_link_options(jemalloc PRIVATE $<$<BOOL:${DG_HAS_LAYOUT}>:-Wl,-T,${DG_LAYOUT}>
    -Wl,--version-script=${DG_VERSION_SCRIPT} -Wl,-z,nodelete
    -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,-z,defs -Wl,--as-needed -Wl,--build-id=sha1
    -Wl,-O1 -Wl,--gc-sections -Wl,-z,noseparate-code -nodefaultlibs -nostartfiles)
  # libc alone: no libgcc_s, no libstdc++. The start files keep constructors and atfork working.
  target_link_libraries(jemalloc PRIVATE -Wl,--no-as-needed c -Wl,--as-needed gcc)
  install(TARGETS jemalloc LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
install(TARGETS jemalloc_static jemalloc_pic ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${CMAKE_SOURCE_DIR}/include/jemalloc/jemalloc.h
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/jemalloc)
