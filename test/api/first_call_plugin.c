/* first_call_plugin.c: a library that test_first_call loads at run time: starts a thread of its
 * own, which calls back.
 */
#include <pthread.h>

void plugin_run_in_thread(void *(*function)(void *), void *argument);

void plugin_run_in_thread(void *(*function)(void *), void *argument)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, function, argument) == 0) {
        pthread_join(thread, NULL);
    }
}
