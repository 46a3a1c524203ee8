/*
 * Whose modules `use` and `require` find: the host's come first in @INC whenever one of its names is
 * asked for, whatever plugins have done to @INC. The original may be installed beside it.
 */
#include "glue_perl.h"

static OP *(*perl_require)(pTHX);

static OP *require_ours(pTHX) {
    SV *name = *PL_stack_sp;
    SV *ours = get_sv("Camelpost::modules", 0);
    AV *inc = GvAV(PL_incgv);
    if (ours && SvROK(ours) && inc && !SvMAGICAL(inc) && AvREAL(inc) && name && SvPOK(name) &&
        SvCUR(name) > 7 &&
        (memEQ(SvPVX(name), "Qpsmtpd", 7) || strEQ(SvPVX(name), "Apache/Qpsmtpd.pm"))) {
        SV **list = AvARRAY(inc);
        SSize_t at = 0;
        while (at <= AvFILLp(inc) && !(list[at] && SvROK(list[at]) && SvRV(list[at]) == SvRV(ours)))
            at++;
        if (at > AvFILLp(inc)) {
            av_push(inc, newSVsv(ours));
            list = AvARRAY(inc);
        }
        SV *entry = list[at];
        for (; at > 0; at--)
            list[at] = list[at - 1];
        list[0] = entry;
    }
    return perl_require(aTHX);
}

void cp_watch_require(void) {
    if (perl_require)
        return;
    perl_require = PL_ppaddr[OP_REQUIRE];
    PL_ppaddr[OP_REQUIRE] = require_ours;
}
