/* empty_program.c: goal: what an allocator costs a program that hardly uses it. Method: one malloc,
 * one write and one free, then exit; with any argument no malloc at all. It includes nothing else,
 * so that what is measured is the allocator's start. micro_start and startup_count run it.
 */
#include <stdlib.h>

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1) {
        return 0;
    }
    char *block = malloc(16);
    if (block == NULL) {
        return 1;
    }
    *(volatile char *)block = 1;
    free(block);
    return 0;
}
