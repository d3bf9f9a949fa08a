/* Keeps a pod's namespaces open, and waits for what dies in them as their first process does.

   Signals are blocked and asked for one by one: the kernel drops those of a namespace's first process only where they are
   neither handled nor blocked (signal(7), pid_namespaces(7)), so no handler is needed, and nothing of a C library. */

#ifndef __x86_64__
#error "the system calls below are those of x86_64"
#endif

enum { WRITE = 1, SIGNALS_MASK = 14, EXIT = 60, WAIT = 61, SIGNALS_AWAIT = 128 };
enum { SIGINT = 2, SIGTERM = 15, SIGCHLD = 17 };
enum { BLOCK = 0, NO_HANG = 1, ANYBODY = -1, STANDARD_OUTPUT = 1 };

static long call(long number, long first, long second, long third, long fourth) {
    register long r10 __asm__("r10") = fourth;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(first), "S"(second), "d"(third), "r"(r10)
                     : "rcx", "r11", "memory");
    return result;
}

static int asks_for_version(char **argument) {
    const char *text = *argument;
    return text && text[0] == '-' && text[1] == 'v' && text[2] == 0;
}

/* The stack as the kernel leaves it: the number of arguments, then the arguments, of which the first is the program. */
__attribute__((used, noreturn)) void run(long *stack) {
    static const char version[] = "pause " VERSION "\n";
    const unsigned long signals = 1UL << (SIGINT - 1) | 1UL << (SIGTERM - 1) | 1UL << (SIGCHLD - 1);
    long signal = 0;
    if (stack[0] > 1 && asks_for_version((char **)(stack + 2))) {
        call(WRITE, STANDARD_OUTPUT, (long)version, sizeof version - 1, 0);
    } else {
        call(SIGNALS_MASK, BLOCK, (long)&signals, 0, sizeof signals);
        while (signal != SIGINT && signal != SIGTERM) {
            /* One SIGCHLD may stand for several, and those of before it was blocked are lost: whoever has ended is waited for. */
            while (call(WAIT, ANYBODY, 0, NO_HANG, 0) > 0) {
            }
            signal = call(SIGNALS_AWAIT, (long)&signals, 0, 0, sizeof signals);
        }
    }
    for (;;)
        call(EXIT, 0, 0, 0, 0);
}

__asm__(".globl _start\n"
        "_start:\n"
        "    xor %ebp, %ebp\n"
        "    mov %rsp, %rdi\n"
        "    and $-16, %rsp\n"
        "    call run\n");
