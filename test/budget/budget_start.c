/* budget_start.c: goal: what an allocator costs a program that hardly uses it. Method: one malloc
 * and one free; run_budget counts the instructions and system calls of the whole process. With an
 * argument the program then prints what the kernel says of its resident memory, without stdio.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* Exact, unlike VmRSS of /proc/self/status, which lags behind by up to 32 pages a thread. */
static int print_memory(void)
{
    static char text[4096];
    int file = open("/proc/self/smaps_rollup", O_RDONLY);
    if (file < 0) {
        return 1;
    }
    ssize_t length = read(file, text, sizeof text);
    if (length <= 0 || write(STDOUT_FILENO, text, (size_t)length) != length) {
        return 1;
    }
    return close(file) == 0 ? 0 : 1;
}

int main(int argument_count, char **arguments)
{
    char *volatile block = malloc(16);
    if (block == NULL) {
        return 1;
    }
    *block = 1;
    free(block);
    (void)arguments;
    return argument_count > 1 ? print_memory() : 0;
}
