/*
 * What the XSUBs of Qpsmtpd::Plugin look up in a plugin object and in classes, without a method
 * call each time. Says only whether the plain way is right; what to do then is Rust's.
 */
#include "glue_perl.h"

enum { QP, HOOK, ARGS, LOGLEVEL, KEYS };

static SV *key(pTHX_ int which) {
    static const char *const names[] = {"_qp", "_hook", "_args", "loglevel"};
    static SV *keys[KEYS];
    if (!keys[which])
        keys[which] = newSVpvn_share(names[which], (I32)strlen(names[which]), 0);
    return keys[which];
}

/* A value of an untied hash, as far as there is one. */
static SV *value_of(pTHX_ HV *hash, int which) {
    HE *entry = cp_find_entry(hash, key(aTHX_ which));
    return entry && (!SvGMAGICAL(HeVAL(entry)) || cp_is_only_tainted(HeVAL(entry))) ? HeVAL(entry) : NULL;
}

static HV *plain_object(SV *sv) {
    if (!SvROK(sv) || !SvOBJECT(SvRV(sv)) || SvTYPE(SvRV(sv)) != SVt_PVHV ||
        SvRMAGICAL(SvRV(sv)) || !HvSHAREKEYS((HV *)SvRV(sv)) || HvHASKFLAGS((HV *)SvRV(sv)))
        return NULL;
    return (HV *)SvRV(sv);
}

static CV *method(pTHX_ HV *stash, const char *name) {
    GV *gv = gv_fetchmeth_pvn(stash, name, strlen(name), 0, 0);
    return gv && isGV(gv) ? GvCV(gv) : NULL;
}

/* What was found out of a class, as long as neither it nor those above it change. */
struct class {
    HV *stash;
    uint64_t generation;
    /* The constant that plugin_name answers; NULL where it is no constant, or where the class has
     * levels of its own for its lines. */
    SV *name;
    /* Its `qp` is the base class's. */
    int plain_qp;
};

static const struct class *class_of(pTHX_ HV *object) {
    static struct class known[64];
    HV *stash = SvSTASH((SV *)object);
    struct class *class = &known[((uintptr_t)stash >> 6) % 64];
    const uint64_t now = cp_generation(aTHX_ stash);
    if (class->stash == stash && class->generation == now)
        return class;
    CV *name = method(aTHX_ stash, "plugin_name");
    CV *level = method(aTHX_ stash, "adjust_log_level");
    CV *qp = method(aTHX_ stash, "qp");
    const int plain = name && CvCONST(name) && CvISXSUB(name) && level &&
                      level == get_cv("Qpsmtpd::Plugin::adjust_log_level", 0);
    class->stash = stash;
    class->generation = now;
    class->name = plain ? (SV *)CvXSUBANY(name).any_ptr : NULL;
    class->plain_qp = qp && qp == get_cv("Qpsmtpd::Plugin::qp", 0);
    return class;
}

int cp_log_facts(cp_sv *plugin, cp_log_fact *facts) {
    dTHXa(cp_perl);
    HV *hash = plain_object(SV(plugin));
    if (!hash)
        return CP_LOG_BY_METHODS;
    SV *hook = value_of(aTHX_ hash, HOOK);
    if (hook && !SvOK(hook))
        hook = NULL;
    if (hook && (SvROK(hook) || !SvPOK(hook)))
        return CP_LOG_BY_METHODS;
    if (hook && SvCUR(hook) == 7 && memEQ(SvPVX(hook), "logging", 7))
        return CP_LOG_NOT;
    SV *args = value_of(aTHX_ hash, ARGS);
    if (args && SvOK(args)) {
        if (!SvROK(args) || SvOBJECT(SvRV(args)) || SvTYPE(SvRV(args)) != SVt_PVHV ||
            SvRMAGICAL(SvRV(args)) || HvHASKFLAGS((HV *)SvRV(args)) ||
            cp_find_entry((HV *)SvRV(args), key(aTHX_ LOGLEVEL)))
            return CP_LOG_BY_METHODS;
    }
    SV *qp = value_of(aTHX_ hash, QP);
    SV *name = class_of(aTHX_ hash)->name;
    if (!qp || !SvROK(qp) || !name)
        return CP_LOG_BY_METHODS;
    facts->hook = CP(hook);
    facts->name = CP(name);
    facts->qp = CP(qp);
    return CP_LOG_PLAIN;
}

cp_sv *cp_plugin_qp(cp_sv *plugin) {
    dTHXa(cp_perl);
    HV *hash = plain_object(SV(plugin));
    SV *qp = hash && class_of(aTHX_ hash)->plain_qp ? value_of(aTHX_ hash, QP) : NULL;
    return qp && SvROK(qp) ? CP(qp) : NULL;
}

int cp_has_host_method(cp_sv *object, const char *name) {
    dTHXa(cp_perl);
    SV *sv = SV(object);
    if (!SvROK(sv) || !SvOBJECT(SvRV(sv)))
        return 0;
    CV *code = method(aTHX_ SvSTASH(SvRV(sv)), name);
    return code && cp_xsub_index(CP(code)) >= 0;
}

const char *cp_plain_text(cp_sv *value, size_t *length) {
    SV *sv = SV(value);
    if (!SvPOK(sv) || SvROK(sv) || SvUTF8(sv) || (SvGMAGICAL(sv) && !cp_is_only_tainted(sv)))
        return NULL;
    *length = SvCUR(sv);
    return SvPVX(sv);
}
