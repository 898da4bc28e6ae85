# jeprof_symbols.cmake: the tests of the part of jeprof that reads ELF files. They are unit tests:
# every build has them, where jeprof itself can be built.
include(symbol_programs.cmake)
foreach(name test_symbols test_symbol_name)
  add_executable(${name} ${name}.c)
  target_compile_definitions(${name} PRIVATE _GNU_SOURCE)
  target_link_libraries(${name} PRIVATE jeprof_symbols dg_warnings cmocka)
endforeach()
add_test(NAME unit.test_symbols COMMAND test_symbols ${symbol_programs})
add_test(NAME unit.test_symbol_name COMMAND test_symbol_name)
# libdw looks at the start whether there are servers.
set_property(TEST unit.test_symbols PROPERTY ENVIRONMENT DEBUGINFOD_URLS=file:///nowhere)
set_tests_properties(unit.test_symbols unit.test_symbol_name PROPERTIES LABELS unit TIMEOUT 120)

# Not a test: the frames of addresses on stdin.
add_executable(symbol_reader symbol_reader.c)
target_compile_definitions(symbol_reader PRIVATE _GNU_SOURCE)
target_link_libraries(symbol_reader PRIVATE jeprof_symbols dg_warnings)
