/* test_idle.c: goal: no call to the helper is lost, a nap is cut short by urgent calls
 * only, and whoever is roused sleeps no more.
 * Method: calls before, between and during sleeps; a sleeper that is not woken hangs the test,
 * which its alarm ends. Threads call at random moments while another sleeps and looks, and a
 * counter tells whether it saw the last call.
 */
#include "unit_check.h"

#include "os/os.h"
#include "pages/idle.h"

#include <pthread.h>
#include <stdatomic.h>

enum { CALLERS = 3, CALLS = 3000, HANG_SECONDS = 60 };

static const uint64_t LONG_NS = 3600ull * 1000000000;
static const uint64_t SHORT_NS = 30ull * 1000000;

static void a_call_since_the_look_ends_the_sleep_at_once(void **state)
{
    (void)state;
    idle_start(0);
    idle_look(0);
    idle_call(0);
    idle_sleep(0);
    /* Twice called is called. */
    idle_look(0);
    idle_call(0);
    idle_call(0);
    idle_sleep(0);
}

static void a_nap_lasts_whoever_calls(void **state)
{
    (void)state;
    idle_start(0);
    idle_look(0);
    idle_call(0);
    uint64_t before = os_time_ns();
    idle_nap(0, SHORT_NS);
    assert_true(os_time_ns() - before >= SHORT_NS);
}

static void who_is_roused_sleeps_no_more_until_a_new_start(void **state)
{
    (void)state;
    idle_start(0);
    idle_rouse(0);
    idle_nap(0, LONG_NS);
    idle_look(0);
    idle_call(0);
    idle_sleep(0);
    idle_nap(0, LONG_NS);
    idle_start(0);
    uint64_t before = os_time_ns();
    idle_nap(0, SHORT_NS);
    assert_true(os_time_ns() - before >= SHORT_NS);
}

static void *sleep_once(void *unused)
{
    idle_look(0);
    idle_sleep(0);
    return unused;
}

static void *nap_once(void *unused)
{
    idle_nap(0, LONG_NS);
    return unused;
}

static void rouse_it(void)
{
    idle_rouse(0);
}

static void urge_it(void)
{
    idle_urge(0);
}

static void call_and_urge_it(void)
{
    idle_call(0);
    idle_urge(0);
    idle_call(0); /* leaves it urgent */
}

static void run_and_end(void *(*body)(void *), void (*end)(void))
{
    pthread_t thread;
    idle_start(0);
    assert_int_equal(pthread_create(&thread, NULL, body, NULL), 0);
    usleep(2000);
    end();
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void sleepers_are_woken(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        run_and_end(nap_once, rouse_it);
        run_and_end(sleep_once, rouse_it);
    }
}

static void what_is_urgent_ends_a_nap(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        run_and_end(nap_once, urge_it);
        run_and_end(nap_once, call_and_urge_it);
    }
    /* Before the nap, too. */
    idle_start(0);
    idle_look(0);
    call_and_urge_it();
    idle_nap(0, LONG_NS);
    idle_stop(0);
}

static void places_call_their_helper_or_the_first(void **state)
{
    (void)state;
    idle_share(3, true);
    assert_int_equal(idle_helper(0), 0);
    assert_int_equal(idle_helper(2), 0); /* it is not there */
    assert_false(idle_relieves());
    idle_call(2); /* nobody's */
    idle_start(0);
    assert_true(idle_relieves());
    idle_look(0);
    idle_call(2);
    idle_sleep(0);
    idle_start(2);
    assert_int_equal(idle_helper(2), 2);
    assert_int_equal(idle_helper(3), 0);
    idle_look(0);
    idle_look(2);
    idle_call(2);
    idle_sleep(2);
    idle_call(0);
    idle_sleep(0);
    idle_stop(2);
    idle_stop(0);
    idle_share(1, false);
    idle_start(0);
    assert_false(idle_relieves());
    idle_stop(0);
}

static unsigned wanted;

static void count_want(void)
{
    wanted++;
}

static void one_is_wanted_while_none_is_there(void **state)
{
    (void)state;
    idle_want();
    atomic_store(&idle_maker, count_want);
    idle_want();
    assert_int_equal(wanted, 1);
    idle_start(0);
    idle_want();
    assert_int_equal(wanted, 1);
    idle_stop(0);
    idle_want();
    assert_int_equal(wanted, 2);
    atomic_store(&idle_maker, NULL);
}

static atomic_uint asked;
static atomic_uint seen;

static void *ask(void *unused)
{
    for (unsigned i = 0; i < CALLS; i++) {
        atomic_fetch_add(&asked, 1);
        idle_call(0);
        if (i % 16 == 0) {
            usleep(i % 100);
        }
    }
    return unused;
}

static void *answer(void *unused)
{
    while (atomic_load(&seen) < CALLERS * CALLS) {
        idle_look(0);
        atomic_store(&seen, atomic_load(&asked));
        if (atomic_load(&seen) < CALLERS * CALLS) {
            idle_sleep(0);
        }
    }
    return unused;
}

static void no_call_is_lost(void **state)
{
    (void)state;
    pthread_t callers[CALLERS];
    pthread_t helper;
    idle_start(0);
    assert_int_equal(pthread_create(&helper, NULL, answer, NULL), 0);
    for (unsigned i = 0; i < CALLERS; i++) {
        assert_int_equal(pthread_create(&callers[i], NULL, ask, NULL), 0);
    }
    for (unsigned i = 0; i < CALLERS; i++) {
        assert_int_equal(pthread_join(callers[i], NULL), 0);
    }
    assert_int_equal(pthread_join(helper, NULL), 0);
    assert_int_equal(atomic_load(&seen), CALLERS * CALLS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_since_the_look_ends_the_sleep_at_once),
        cmocka_unit_test(a_nap_lasts_whoever_calls),
        cmocka_unit_test(who_is_roused_sleeps_no_more_until_a_new_start),
        cmocka_unit_test(sleepers_are_woken),
        cmocka_unit_test(no_call_is_lost),
        cmocka_unit_test(what_is_urgent_ends_a_nap),
        cmocka_unit_test(places_call_their_helper_or_the_first),
        cmocka_unit_test(one_is_wanted_while_none_is_there),
    };
    alarm(HANG_SECONDS);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
