/* symbol_program.c: prints its mappings, then the stack of each call of record().
 *
 * Goal: the test of jeprof's symbols has answers that come from the program itself. Method: each
 * function of a chain hands its name and the line of its call down, some are inlined; record()
 * prints its return address - 1, and the chain, innermost first, as "function line inlined".
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct call {
    const char *function;
    int line;
    int is_inlined;
    const struct call *outer;
};

/* Not the last instruction of its caller, which would be jumped out of instead. */
#define KEEP_FRAME() __asm__ volatile("" ::: "memory")

__attribute__((noinline)) void record(const struct call *innermost)
{
    printf("0x%lx", (unsigned long)(uintptr_t)__builtin_return_address(0) - 1);
    const struct call *call = innermost;
    for (; call != NULL; call = call->outer) {
        printf(" %s %d %d", call->function, call->line, call->is_inlined);
        if (!call->is_inlined) {
            break;
        }
    }
    printf("\n");
    KEEP_FRAME();
}

static inline __attribute__((always_inline)) void leaf(const struct call *outer)
{
    record(&(struct call){"leaf", __LINE__, 1, outer});
    KEEP_FRAME();
}

static inline __attribute__((always_inline)) void middle(const struct call *outer)
{
    leaf(&(struct call){"middle", __LINE__, 1, outer});
    record(&(struct call){"middle", __LINE__, 1, outer});
    KEEP_FRAME();
}

__attribute__((noinline)) void plain(void)
{
    record(&(struct call){"plain", __LINE__, 0, NULL});
    KEEP_FRAME();
}

__attribute__((noinline)) void outermost(void)
{
    middle(&(struct call){"outermost", __LINE__, 0, NULL});
    leaf(&(struct call){"outermost", __LINE__, 0, NULL});
    KEEP_FRAME();
}

/* In a section of its own: the unit then has several ranges of addresses. */
static __attribute__((noinline, section(".text.far"))) void far(void)
{
    leaf(&(struct call){"far", __LINE__, 0, NULL});
    KEEP_FRAME();
}

/* Assembly as it is written by hand: two functions without a size, and one that ends before the
 * next begins. */
__asm__(".text\n"
        ".globl bare_first, bare_second, sized\n"
        "bare_first: .space 16\n"
        "bare_second: .space 16\n"
        ".type sized, %function\n"
        "sized: .space 16\n"
        ".size sized, 4\n"
        "after_sized: .space 16\n");

static void print_mappings(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    if (maps == NULL) {
        exit(1);
    }
    char line[4096];
    while (fgets(line, sizeof line, maps) != NULL) {
        fputs(line, stdout);
    }
    fclose(maps);
}

int main(void)
{
    print_mappings();
    plain();
    outermost();
    far();
    return 0;
}
