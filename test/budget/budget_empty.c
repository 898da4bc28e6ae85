/* budget_empty.c: what a loop costs without an allocator: functions that only return.
 *
 * The loops call these in place of malloc, free and so on, so that the difference is the
 * allocator's. budget_loops.c declares them with the types of what they stand in for; here they
 * take and give nothing, so that each is one instruction. In a shared library of its own, so that
 * a call is made as a call of the allocator is.
 */
void budget_mark(void);
void budget_empty_alloc(void);
void budget_empty_free(void);
void budget_empty_calloc(void);
void budget_empty_realloc(void);
void budget_empty_sdallocx(void);
void budget_empty_mallctlbymib(void);
void budget_empty_mallctl(void);

/* The driver has callgrind write its counters out and clear them where this is called. */
void budget_mark(void)
{
}

void budget_empty_alloc(void)
{
}

void budget_empty_free(void)
{
}

void budget_empty_calloc(void)
{
}

void budget_empty_realloc(void)
{
}

void budget_empty_sdallocx(void)
{
}

void budget_empty_mallctlbymib(void)
{
}

void budget_empty_mallctl(void)
{
}
