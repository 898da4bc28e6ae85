# embed.cmake: writes the bytes of FILE into OUTPUT as the C array NAME, a 0 behind them, and their
# number as NAME_size. Run by outputs.cmake.
file(READ ${FILE} bytes HEX)
string(LENGTH "${bytes}" digits)
math(EXPR size "${digits} / 2")
string(REGEX REPLACE "(................................)" "\\1\n" bytes "${bytes}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
file(WRITE ${OUTPUT} "/* Made by embed.cmake. */
#include \"page.h\"
const char ${NAME}[] = {
${bytes}0};
const size_t ${NAME}_size = ${size};
")
