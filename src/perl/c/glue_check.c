/*
 * What the C side takes for granted of perl's insides, and perl promises nobody: which operation a piece of
 * code becomes and where that finds its operand, what magic is told of, how pads name what a closure has
 * captured, that `$$` keeps a number. All of it is tried when the interpreter starts, and the first that does
 * not hold is named. What a compiler sees is checked in glue_perl.h; what sessions make of all this, tests/keeps
 * shows.
 */
#include "glue_perl.h"

static int evaluates(const char *text, cp_result *result) {
    if (cp_eval(text, strlen(text), CP_LIST, result) == CP_OK)
        return 1;
    if (result->error)
        (void)cp_drop(&result->error, 1);
    return 0;
}

static void forget(cp_result *result) {
    (void)cp_drop(result->values, result->count);
    cp_free_result(result);
}

/* ---- operations ---- */

static SV *topmost(pTHX) { return *PL_stack_sp; }

static int assigns_to_hash(pTHX) {
    for (SV **left = PL_stack_base + *PL_markstack_ptr + 1; left <= PL_stack_sp; left++)
        if (*left && SvTYPE(*left) == SVt_PVHV && HvTOTALKEYS((HV *)*left))
            return 1;
    return 0;
}

static int undefines(pTHX_ svtype type) {
    return PL_op->op_private && !(PL_op->op_private & OPpTARGET_MY) && SvTYPE(topmost(aTHX)) == type;
}
static int undefines_hash(pTHX) { return undefines(aTHX_ SVt_PVHV); }
static int undefines_code(pTHX) { return undefines(aTHX_ SVt_PVCV); }

static int is_hash(pTHX) { return SvTYPE(topmost(aTHX)) == SVt_PVHV; }
static int is_array(pTHX) { return SvTYPE(topmost(aTHX)) == SVt_PVAV; }
static int is_reference(pTHX) { return SvROK(topmost(aTHX)); }
static int is_file(pTHX) { return SvPOK(topmost(aTHX)) && strEQ(SvPVX(topmost(aTHX)), "Camelpost/Tried.pm"); }
static int sorts_in_place(pTHX) { return PL_op->op_private & OPpSORT_INPLACE && is_array(aTHX); }
static int reverses_in_place(pTHX) { return PL_op->op_private & OPpREVERSE_INPLACE && is_array(aTHX); }

static int kills(pTHX) {
    SV **first = PL_stack_base + *PL_markstack_ptr + 1;
    return PL_stack_sp == first + 1 && SvIOK(*first) && !SvIVX(*first);
}

static int leaves_file(pTHX) {
    const PERL_CONTEXT *cx = CX_CUR();
    return CxTYPE(cx) == CXt_EVAL && CxOLD_OP_TYPE(cx) == OP_REQUIRE;
}

static int runs(pTHX) {
    PERL_UNUSED_CONTEXT;
    return 1;
}

#define A_FILE "local @INC = sub { \\(my $text = '1;') }; require Camelpost::Tried; delete $INC{'Camelpost/Tried.pm'}"

static const struct operation {
    Optype op;
    const char *text; /* has it at least once as `holds` wants it */
    int (*holds)(pTHX);
    int afterwards; /* asked when it has run */
    const char *name;
} operations[] = {
    {OP_AASSIGN, "my %h = (a => 1); %h = ()", assigns_to_hash, 0, "`%hash = ()` is aassign, the hash above the topmost mark"},
    {OP_UNDEF, "my %h = (a => 1); undef %h", undefines_hash, 0, "`undef %hash` is undef, the hash on top of the stack"},
    {OP_UNDEF, "my $n = 1; my $c = sub { $n }; undef &$c", undefines_code, 0, "`undef &code` is undef, the code on top of the stack"},
    {OP_EACH, "my %h = (a => 1); my @pair = each %h", is_hash, 0, "`each %hash` is each, the hash on top of the stack"},
    {OP_AEACH, "my @a = (1); my @pair = each @a", is_array, 0, "`each @array` is aeach, the array on top of the stack"},
    {OP_RV2HV, "my $h = {a => 1}; my @all = %$h", is_reference, 0, "`%$hash` is rv2hv, the reference on top of the stack"},
    {OP_BLESS, "my $o = bless {}, 'Camelpost'", is_reference, 1, "`bless` is bless, and leaves its reference on the stack"},
    {OP_SORT, "my @l = (2, 1); @l = sort @l; 1", sorts_in_place, 0, "`@array = sort @array` is sort in place, the array on top of the stack"},
    {OP_REVERSE, "my @l = (1, 2); @l = reverse @l; 1", reverses_in_place, 0, "`@array = reverse @array` is reverse in place, the array on top of the stack"},
    {OP_KILL, "kill 0, $$", kills, 0, "`kill` is kill, signal and targets above the topmost mark"},
    {OP_ALARM, "alarm 0", runs, 0, "`alarm` is alarm"},
    {OP_REQUIRE, A_FILE, is_file, 0, "`require NAME` is require, the file's name on top of the stack"},
    {OP_LEAVEEVAL, A_FILE, leaves_file, 0, "a file that is required ends with leaveeval, in the context of its require"},
};

static const struct operation *tried;
static Perl_ppaddr_t perls;
static int seen;

static OP *observed(pTHX) {
    if (!tried->afterwards && tried->holds(aTHX))
        seen = 1;
    OP *next = perls(aTHX);
    if (tried->afterwards && tried->holds(aTHX))
        seen = 1;
    return next;
}

static int is_as_known(pTHX_ const struct operation *operation) {
    cp_result result;
    tried = operation;
    seen = 0;
    perls = PL_ppaddr[operation->op];
    PL_ppaddr[operation->op] = observed;
    if (evaluates(operation->text, &result))
        forget(&result);
    PL_ppaddr[operation->op] = perls;
    return seen;
}

/* ---- magic ---- */

static int told;

static int is_told(pTHX_ SV *sv, MAGIC *mg) {
    PERL_UNUSED_CONTEXT;
    PERL_UNUSED_ARG(sv);
    PERL_UNUSED_ARG(mg);
    told = 1;
    return 0;
}

static I32 is_asked(pTHX_ IV action, SV *hash) {
    PERL_UNUSED_CONTEXT;
    PERL_UNUSED_ARG(hash);
    if (action & (HV_FETCH_ISSTORE | HV_FETCH_LVALUE | HV_DELETE))
        told = 1;
    return 0;
}

static const MGVTBL told_vtbl = {NULL, is_told, NULL, is_told, NULL, NULL, NULL, NULL};

/* A reference to what has magic, then names of changes and subs that make them. Variables are lexical, for which
 * perl has operations of their own. */
/* Each array is changed no more than once or twice: perl 5.36 leaves slots of an array unset that was shifted and then
 * grows (av_extend), and frees what is in them when it is made shorter; `perl -e` under MALLOC_PERTURB_ shows it. */
static const char *const changes[] = {
    "my @v = (1, 2, 3); (\\@v, 'push', sub { push @v, 1 }, 'pop', sub { pop @v }, 'shift', sub { shift @v },"
    " 'unshift', sub { unshift @v, 1 }, 'splice', sub { splice @v, 0, 1 }, '@array = (1)', sub { @v = (1) },"
    " '@array = ()', sub { @v = () }, 'undef @array', sub { undef @v })",
    "my @v = (1, 2, 3); (\\@v, 'delete $array[0]', sub { delete $v[0] }, '$#array = 1', sub { $#v = 1 },"
    " '$array[new] = 1', sub { $v[2] = 1 }, '$array[variable] = 1', sub { my $at = 3; $v[$at] = 1 })",
    "my $v = 'a'; (\\$v, '$scalar = 1', sub { $v = 1 }, '$scalar = $other', sub { my $n = 2; $v = $n },"
    " '$scalar++', sub { $v++ }, '$scalar .= 1', sub { $v .= 'x' }, '($scalar) = (1)', sub { ($v) = (1) },"
    " 'chop $scalar', sub { chop $v }, '$scalar = undef', sub { $v = undef }, '$scalar //= 1', sub { $v //= 1 },"
    " 'undef $scalar', sub { undef $v }, '$scalar = {}', sub { $v = {} }, '$scalar = []', sub { $v = [] })",
    "my @v = (1); (\\$v[0], '$array[0] = 1', sub { $v[0] = 1 }, '$array[variable] = 1 of an old element',"
    " sub { my $at = 0; $v[$at] = 2 }, '$_ = 1 for @array', sub { $_ = 3 for @v })",
    "my %v = (a => 1); (\\$v{a}, '$hash{old} = 1', sub { $v{a} = 1 }, '$_ = 1 for values %hash',"
    " sub { $_ = 3 for values %v })",
    "my %v = (a => 1); (\\%v, '$hash{new} = 1', sub { $v{b} = 1 }, '$hash{variable} = 1', sub { my $k = 'c'; $v{$k} = 1 },"
    " '@hash{...} = ()', sub { @v{qw(d e)} = () }, 'delete $hash{old}', sub { delete $v{a} },"
    " 'exists-or-assign', sub { $v{f} //= 1 })",
};

/* The name of a change of which nobody is told. */
static const char *untold(pTHX_ const char *text) {
    static char name[64];
    cp_result result;
    if (!evaluates(text, &result))
        return "changes of variables";
    const char *found = NULL;
    SV *changed = SvRV(SV(result.values[0]));
    if (SvTYPE(changed) == SVt_PVHV) {
        struct ufuncs functions = {is_asked, NULL, 0};
        sv_magic(changed, NULL, PERL_MAGIC_uvar, (char *)&functions, sizeof functions);
    } else {
        sv_magicext(changed, NULL, PERL_MAGIC_ext, &told_vtbl, NULL, 0);
    }
    for (size_t i = 1; i + 1 < result.count && !found; i += 2) {
        cp_result nothing;
        told = 0;
        if (cp_call(result.values[i + 1], NULL, 0, CP_VOID, &nothing) != CP_OK || !told) {
            my_snprintf(name, sizeof name, "%s", SvPV_nolen(SV(result.values[i])));
            found = name;
        }
    }
    forget(&result);
    return found;
}

static I32 is_looked_up(pTHX_ IV action, SV *hash) {
    PERL_UNUSED_CONTEXT;
    PERL_UNUSED_ARG(action);
    PERL_UNUSED_ARG(hash);
    told = 1;
    return 0;
}

/* Whether a hash whose keys wait (glue_keys.c) is asked before one of them is read. */
static int looks_are_told(pTHX) {
    cp_result result;
    if (!evaluates("my $v = {a => 1}; ($v, sub { my $x = $v->{a} }, sub { exists $v->{a} }, sub { my $k = 'a'; $v->{$k} },"
                   " sub { \\$v->{a} })",
                   &result))
        return 0;
    struct ufuncs functions = {is_looked_up, NULL, 0};
    sv_magic(SvRV(SV(result.values[0])), NULL, PERL_MAGIC_uvar, (char *)&functions, sizeof functions);
    int all = 1;
    for (size_t i = 1; i < result.count; i++) {
        cp_result nothing;
        told = 0;
        all = cp_call(result.values[i], NULL, 0, CP_VOID, &nothing) == CP_OK && told && all;
    }
    forget(&result);
    return all;
}

/* ---- pads ---- */

/* Whether what a closure has captured, and what it keeps from call to call, is found by the names in its pad. */
static int pads_are_as_known(pTHX) {
    cp_result result;
    if (!evaluates("my ($x, @y, %z) = (1); (\\$x, \\@y, \\%z, sub { CORE::state $n = 1; ($x, @y, %z, $n) })", &result))
        return 0;
    static const char *const outer[] = {"$x", "@y", "%z"};
    int found = 0;
    SV *code = result.count == 4 ? SvRV(SV(result.values[3])) : NULL;
    PADLIST *list = code ? CvPADLIST((CV *)code) : NULL;
    AV *pad = list && PadlistMAX(list) > 0 ? (AV *)PadlistARRAY(list)[1] : NULL;
    PADNAMELIST *names = pad ? PadlistNAMES(list) : NULL;
    for (SSize_t i = 1; names && i <= PadnamelistMAX(names) && i <= AvFILLp(pad); i++) {
        PADNAME *name = PadnamelistARRAY(names)[i];
        const char *text = name ? PadnamePV(name) : NULL;
        if (!text)
            continue;
        for (int which = 0; which < 3; which++)
            if (strEQ(text, outer[which]) && PadnameOUTER(name) &&
                AvARRAY(pad)[i] == SvRV(SV(result.values[which])))
                found |= 1 << which;
        if (strEQ(text, "$n") && PadnameIsSTATE(name))
            found |= 8;
        if (strEQ(text, "$") && PadnameIsSTATE(name))
            found |= 16;
    }
    forget(&result);
    return found == 31;
}

/* ---- the rest ---- */

static int pid_is_as_known(pTHX) {
    SV *pid = get_sv("$", 0);
    const uint32_t number = 2000000000;
    cp_set_pid_variable(number);
    if (pid)
        SvGETMAGIC(pid);
    const int kept = pid && SvIV_nomg(pid) == (IV)number;
    cp_set_pid_variable(0);
    return kept;
}

static int generation_changes(pTHX) {
    cp_result result;
    HV *stash = gv_stashpvs("Camelpost::Tried", GV_ADD);
    const char *const texts[] = {"*Camelpost::Tried::one = sub { 1 }", "local $^W; *Camelpost::Tried::one = sub { 2 }",
                                 "undef *Camelpost::Tried::one"};
    int changes = 1;
    for (size_t i = 0; i < C_ARRAY_LENGTH(texts); i++) {
        const uint64_t before = cp_generation(aTHX_ stash);
        if (evaluates(texts[i], &result))
            forget(&result);
        changes = changes && cp_generation(aTHX_ stash) != before;
    }
    if (evaluates("delete $Camelpost::{'Tried::'}", &result))
        forget(&result);
    return changes;
}

int cp_check(char *says, size_t room) {
    dTHXa(cp_perl);
    const char *what = NULL, *of = "";
    /* Messages of plugins have the number of their eval. */
    const U32 evals = PL_evalseq;
    for (size_t i = 0; i < C_ARRAY_LENGTH(operations) && !what; i++)
        if (!is_as_known(aTHX_ &operations[i]))
            what = operations[i].name;
    for (size_t i = 0; i < C_ARRAY_LENGTH(changes) && !what; i++)
        if ((what = untold(aTHX_ changes[i])))
            of = "magic is told of ";
    if (!what && !looks_are_told(aTHX))
        what = "magic is told of each look at a key of a hash";
    if (!what && !pads_are_as_known(aTHX))
        what = "pads name what a closure has captured as `outer`, and what it keeps as `state`";
    if (!what && !pid_is_as_known(aTHX))
        what = "`$$` keeps a number that it is given";
    if (!what && !generation_changes(aTHX))
        what = "a package's generation changes with its subs";
    PL_evalseq = evals;
    if (!what)
        return 1;
    my_snprintf(says, room, "%s%s", of, what);
    return 0;
}
