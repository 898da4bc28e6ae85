# symbol_programs.cmake: the programs that the tests of jeprof's symbols read. They are in
# ${symbol_programs}.
set(symbol_programs ${CMAKE_BINARY_DIR}/symbol_programs)
set(sources ${CMAKE_SOURCE_DIR}/test/tool)
add_custom_command(OUTPUT ${symbol_programs}.stamp
  COMMAND ${sources}/make_symbol_programs ${CMAKE_C_COMPILER} "${CMAKE_CXX_COMPILER}" ${sources}
    ${symbol_programs}
  COMMAND ${CMAKE_COMMAND} -E touch ${symbol_programs}.stamp
  DEPENDS ${sources}/make_symbol_programs ${sources}/symbol_program.c ${sources}/symbol_names.cpp
  VERBATIM)
add_custom_target(symbol_programs ALL DEPENDS ${symbol_programs}.stamp)
