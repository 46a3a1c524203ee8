/*
 * The interrupt of Perl code that takes too long: from the signal on it dies at each safe point,
 * also in evals of its own, for as long as Rust says so. Code that comes to no safe point goes on.
 * And perl's own signals, all of which wait for such a point.
 */
#include "glue_perl.h"
#include <errno.h>
#include <signal.h>
#include <unistd.h>

static volatile sig_atomic_t asked;
static int wake = -1;
static despatch_signals_proc_t perl_despatch;

static void on_signal(int number) {
    int saved = errno;
    uint64_t one = 1;
    asked = 1;
    if (cp_perl) {
        dTHXa(cp_perl);
        PL_sig_pending = 1;
    }
    /* A pump that waits is woken. It is full only where nobody has looked yet. */
    if (wake >= 0 && write(wake, &one, sizeof one) < 0)
        errno = 0;
    errno = saved;
}

/* At a safe point, when something is pending. */
static void despatch(pTHX) {
    if (asked) {
        int reason = camelpost_is_interrupted();
        if (reason) {
            /* The next safe point finds this again. */
            PL_sig_pending = 1;
            croak("Interrupted: the plugin has taken too %s\n", reason == 2 ? "much memory" : "long");
        }
        asked = 0;
    }
    perl_despatch(aTHX);
}

int cp_take_interrupts(int number, int wake_with) {
    dTHXa(cp_perl);
    wake = wake_with;
    if (!perl_despatch) {
        perl_despatch = PL_signalhook;
        PL_signalhook = despatch;
    }
    /* No SA_RESTART: a system call that waits is to end. */
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigset_t only;
    sigemptyset(&only);
    sigaddset(&only, number);
    return sigaction(number, &action, NULL) || pthread_sigmask(SIG_UNBLOCK, &only, NULL) ? -1 : 0;
}

void cp_calm(void) { asked = 0; }

/* ---- signals of perl's own ---- */

static Sighandler1_t perl_at_once;
static Sighandler3_t perl_at_once_with_info;

/* What cannot wait, as the instruction that has caused it would be done again. */
static int is_fault(int number) {
    return number == SIGSEGV || number == SIGBUS || number == SIGILL || number == SIGFPE;
}

static void later(int number) { (is_fault(number) ? perl_at_once : PL_csighandler1p)(number); }

static void later_with_info(int number, Siginfo_t *info, void *context) {
    (is_fault(number) ? perl_at_once_with_info : PL_csighandler3p)(number, info, context);
}

void cp_defer_signals(void) {
    dTHXa(cp_perl);
    perl_at_once = PL_sighandler1p;
    perl_at_once_with_info = PL_sighandler3p;
    PL_sighandler1p = later;
    PL_sighandler3p = later_with_info;
}
