# jeprof_symbols.cmake: the tests of the part of jeprof that reads ELF files, and the programs they
# look at. They are unit tests: every build has them, where jeprof itself can be built.
set(programs ${CMAKE_BINARY_DIR}/symbol_programs)
add_custom_command(OUTPUT ${programs}.stamp
  COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/make_symbol_programs ${CMAKE_C_COMPILER}
    "${CMAKE_CXX_COMPILER}" ${CMAKE_CURRENT_SOURCE_DIR} ${programs}
  COMMAND ${CMAKE_COMMAND} -E touch ${programs}.stamp
  DEPENDS make_symbol_programs symbol_program.c symbol_names.cpp
  VERBATIM)
add_custom_target(symbol_programs ALL DEPENDS ${programs}.stamp)

foreach(name test_symbols test_symbol_name)
  add_executable(${name} ${name}.c)
  target_compile_definitions(${name} PRIVATE _GNU_SOURCE)
  target_link_libraries(${name} PRIVATE jeprof_symbols dg_warnings cmocka)
endforeach()
add_test(NAME unit.test_symbols COMMAND test_symbols ${programs})
add_test(NAME unit.test_symbol_name COMMAND test_symbol_name)
set_tests_properties(unit.test_symbols unit.test_symbol_name PROPERTIES LABELS unit TIMEOUT 120)

# Not a test: the frames of addresses on stdin.
add_executable(symbol_reader symbol_reader.c)
target_compile_definitions(symbol_reader PRIVATE _GNU_SOURCE)
target_link_libraries(symbol_reader PRIVATE jeprof_symbols dg_warnings)
