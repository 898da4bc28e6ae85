/* symbol_names.cpp: functions of C++ whose names the test of jeprof's symbols knows.
 *
 * A shared library that is only looked at.
 */
namespace outer
{
namespace
{
__attribute__((noinline)) int hidden(int number)
{
    return number * 3;
}
} // namespace

static __attribute__((noinline, used)) int local(int number, const char *)
{
    return hidden(number) + 1;
}

template <class T, int N> struct box {
    __attribute__((noinline)) T take(T value) const
    {
        return value + N;
    }
};

template struct box<int, 3>;

int entry(int number)
{
    return local(number, "") + 1;
}
} // namespace outer

extern "C" int plain_c(int number)
{
    return outer::entry(number) - 1;
}
