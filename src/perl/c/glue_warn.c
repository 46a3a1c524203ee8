/* Perl's own warnings, and what plugins warn of, for a log that is to have them as its lines (JSON): the place
 * where $SIG{__WARN__} is kept has the host's XSUB. %SIG does not show it, and a plugin that sets
 * $SIG{__WARN__} has its own. What the XSUB makes of a warning is Rust's (perl/xs/warned.rs). */

#include "glue_perl.h"

static SV *warned;

void cp_take_warnings(void) {
    dTHXa(cp_perl);
    /* A `local $SIG{__WARN__}` that is over has left nothing there. */
    if (PL_warnhook)
        return;
    if (!warned) {
        CV *code = get_cv("Camelpost::_warned", 0);
        if (!code)
            return;
        warned = newRV_inc((SV *)code);
    }
    PL_warnhook = SvREFCNT_inc_simple_NN(warned);
}
