# Warnings of every target of ours; a warning is an error.
add_library(dg_warnings INTERFACE)
target_compile_options(dg_warnings INTERFACE
  $<$<COMPILE_LANGUAGE:C>:-Wall;-Wextra;-Wconversion;-Wshadow;-Wundef;-Wstrict-prototypes>
  $<$<COMPILE_LANGUAGE:C>:-Wmissing-prototypes;-Werror>
  $<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wshadow;-Werror>)
if(DG_SANITIZE)
  target_compile_options(dg_warnings INTERFACE -fsanitize=${DG_SANITIZE} -fno-sanitize-recover=all
    -fno-omit-frame-pointer)
  target_link_options(dg_warnings INTERFACE -fsanitize=${DG_SANITIZE})
endif()
