# outputs.cmake: what the reports for other programs need. jeprof_outputs are their sources,
# generated ones among them; without the libraries it is not set, and one line says so. The page of
# --html needs node and npm's packages too; without them jeprof is built without that page.
find_path(DG_JANSSON_INCLUDE jansson.h)
find_library(DG_JANSSON jansson)
find_path(DG_PROTOBUF_C_INCLUDE protobuf-c/protobuf-c.h)
find_library(DG_PROTOBUF_C protobuf-c)
find_program(DG_PROTOC_C protoc-c)
find_path(DG_ZLIB_INCLUDE zlib.h)
find_library(DG_ZLIB z)
find_program(DG_NODE node)
mark_as_advanced(DG_JANSSON_INCLUDE DG_JANSSON DG_PROTOBUF_C_INCLUDE DG_PROTOBUF_C DG_PROTOC_C
  DG_ZLIB_INCLUDE DG_ZLIB DG_NODE)
if(NOT DG_JANSSON_INCLUDE OR NOT DG_JANSSON OR NOT DG_PROTOBUF_C_INCLUDE OR NOT DG_PROTOBUF_C
    OR NOT DG_PROTOC_C OR NOT DG_ZLIB_INCLUDE OR NOT DG_ZLIB)
  message(STATUS "jeprof is left out: it needs libjansson-dev, libprotobuf-c-dev, \
protobuf-c-compiler and zlib1g-dev")
  return()
endif()

set(page ${CMAKE_CURRENT_SOURCE_DIR}/page)
set(made ${CMAKE_CURRENT_BINARY_DIR})

# embed(NAME FILE): makes ${made}/NAME.c, which has the bytes of a file as page.h declares them.
function(embed name file)
  add_custom_command(OUTPUT ${made}/${name}.c
    COMMAND ${CMAKE_COMMAND} -DNAME=${name} -DFILE=${file} -DOUTPUT=${made}/${name}.c
      -P ${CMAKE_CURRENT_SOURCE_DIR}/embed.cmake
    DEPENDS ${file} ${CMAKE_CURRENT_SOURCE_DIR}/embed.cmake)
endfunction()

add_custom_command(OUTPUT ${made}/profile.pb-c.c ${made}/profile.pb-c.h
  COMMAND ${DG_PROTOC_C} --c_out=${made} --proto_path=${CMAKE_CURRENT_SOURCE_DIR} profile.proto
  DEPENDS profile.proto)
set_source_files_properties(${made}/profile.pb-c.c PROPERTIES COMPILE_OPTIONS -w)

# The bootstrap runs npm, which writes this file last; a later configuration finds it.
file(GLOB npm_lock CONFIGURE_DEPENDS ${page}/node_modules/.package-lock.json)
if(DG_NODE AND npm_lock)
  set(page_file ${made}/page.html)
  file(GLOB page_sources CONFIGURE_DEPENDS ${page}/*.js ${page}/*.mjs ${page}/*.css
    ${page}/*.html)
  add_custom_command(OUTPUT ${page_file}
    COMMAND ${DG_NODE} ${page}/build_page.mjs ${page_file}
    DEPENDS ${page_sources} ${npm_lock})
else()
  message(STATUS "jeprof is built without --html: it needs node and npm's packages \
(scripts/bootstrap jeprof)")
  set(page_file ${made}/no_page.html)
  file(WRITE ${page_file} "")
endif()
embed(page_html ${page_file})
embed(flame_script ${page}/flame.js)
embed(flame_style ${page}/flame.css)

set(jeprof_outputs dump_order.c export.c frame_rows.c json_out.c output_traits.c progress.c
  report_data.c report_flame.c report_proto.c report_speedscope.c report_symbolized.c
  ${made}/profile.pb-c.c ${made}/page_html.c ${made}/flame_script.c ${made}/flame_style.c)
set(jeprof_output_includes ${made} ${DG_LIBDW_INCLUDE} ${DG_JANSSON_INCLUDE}
  ${DG_PROTOBUF_C_INCLUDE} ${DG_ZLIB_INCLUDE})
set(jeprof_output_libraries ${DG_JANSSON} ${DG_PROTOBUF_C} ${DG_ZLIB})
