using System;
using System.IO;
using System.Linq;
using System.Text;
using Quietus.Oracle.Judging;
using Quietus.Oracle.Recording;
using Shouldly;
using Xunit;

namespace Quietus.Oracle.Tests;

/// <summary>
/// The kinds of what the architecture allows to go wrong, each with its twin that is right: after the same beginning,
/// a VM with one page that PE 0 runs, or not yet.
/// </summary>
public class KindTests
{
    private const ViolationKind Fine = ViolationKind.None;
    private const string All = "ipa=0x0 bytes=0x0 level=0 reaches=0xffffffff";
    private const string Page = "ipa=0x80000000 bytes=0x1 level=0 reaches=0xffffffff";
    private const string Free = "return-frames start=0x40200000 bytes=0x1000;";
    private const string Unmap = "write-entry pe=1 at=0x40002000 value=0x0;";
    private const string Dsb = "dsb pe=1 op=ish;";
    private const string Whole = "tlbi pe=1 op=vmalls12e1is vmid=1 " + All + ";";
    private const string ByIpa = "tlbi pe=1 op=ipas2e1is vmid=1 " + Page + ";" + Dsb;
    private const string Combined = "tlbi pe=1 op=vmalle1is vmid=1 " + All + ";" + Dsb;

    private const string VmB =
        "take-tables pe=1 first=0x40003000 count=1;vm number=3 name=\"VM B\" root=0x40003000 tables=1 level=1;"
        + "take-tables pe=1 first=0x40005000 count=2;" + Dsb
        + "write-entry pe=1 at=0x40003010 value=0x40005003;write-entry pe=1 at=0x40005000 value=0x40006003;" + Dsb;

    /// <summary>A. PEs that leave, or come and leave, between a TLBI and its DSB.</summary>
    [Theory]
    [InlineData("call vm=2;" + Unmap + Whole + "unload pe=0 vm=2;" + Dsb + Free + "return;",
        ViolationKind.StaleTranslation)]
    [InlineData("call vm=2;" + Unmap + Dsb + Whole + "unload pe=0 vm=2;" + Dsb + Free + "return;", Fine)]
    [InlineData("unload pe=0 vm=2;call vm=2;" + Unmap + Whole + "load pe=3 vm=2 vmid=1;unload pe=3 vm=2;" + Dsb
        + "return;", ViolationKind.StaleTranslation)]
    [InlineData("unload pe=0 vm=2;" + VmB + "tlbi pe=1 op=alle1is vmid=0 " + All + ";load pe=2 vm=2 vmid=1;"
        + "load pe=2 vm=3 vmid=2;" + Dsb + "load pe=2 vm=3 vmid=1;", ViolationKind.VmidReused)]
    [InlineData("unload pe=0 vm=2;" + VmB + "load pe=2 vm=2 vmid=1;unload pe=2 vm=2;tlbi pe=1 op=alle1is vmid=0 "
        + All + ";" + Dsb + "load pe=2 vm=3 vmid=1;", Fine)]
    public void What_is_cached_in_the_window_stays(string events, ViolationKind expected) => Check(events, expected);

    /// <summary>B. One VM under several VMIDs.</summary>
    [Theory]
    [InlineData("load pe=0 vm=2 vmid=2;load pe=0 vm=2 vmid=1;call vm=2;" + Unmap + Dsb
        + "tlbi pe=1 op=vmalls12e1is vmid=1 " + All + ";" + Dsb + "return;", ViolationKind.StaleTranslation)]
    [InlineData("load pe=0 vm=2 vmid=2;call vm=2;" + Unmap + Dsb + Whole + "tlbi pe=1 op=vmalls12e1is vmid=2 " + All
        + ";" + Dsb + Free + "return;", Fine)]
    [InlineData("load pe=2 vm=2 vmid=2;call vm=2;write-entry pe=1 at=0x40002000 value=0x400000402017ff;" + Dsb
        + "return;", ViolationKind.BreakBeforeMake)]
    [InlineData("load pe=0 vm=2 vmid=2;" + Whole + Dsb + "call vm=2;" + Unmap + Dsb
        + "tlbi pe=1 op=vmalls12e1is vmid=2 " + All + ";" + Dsb + Free + "return;", Fine)]
    [InlineData("load pe=2 vm=2 vmid=2;call vm=2;write-entry pe=1 at=0x40001000 value=0x0;" + Dsb + Whole + Dsb
        + "return-tables first=0x40002000 count=1;return;", ViolationKind.TableFreedInUse)]
    [InlineData("load pe=2 vm=2 vmid=2;unload pe=0 vm=2;release vm=2;", ViolationKind.TableFreedInUse)]
    public void Every_VMID_of_a_VM_is_followed(string events, ViolationKind expected) => Check(events, expected);

    /// <summary>C. Tables and pages that are reached before what was written there is visible.</summary>
    [Theory]
    [InlineData("take-tables pe=1 first=0x40004000 count=1;write-entry pe=1 at=0x40001008 value=0x40004003;" + Dsb,
        ViolationKind.Unpublished)]
    [InlineData("take-tables pe=1 first=0x40004000 count=1;dsb pe=2 op=sy;"
        + "write-entry pe=1 at=0x40001008 value=0x40004003;" + Dsb, ViolationKind.Unpublished)]
    [InlineData("take-tables pe=1 first=0x40004000 count=1;dsb pe=1 op=ishst;"
        + "write-entry pe=1 at=0x40001008 value=0x40004003;" + Dsb, Fine)]
    [InlineData("unload pe=0 vm=2;take-tables pe=1 first=0x40004000 count=1;"
        + "write-entry pe=1 at=0x40001008 value=0x40004003;load pe=0 vm=2 vmid=1;", ViolationKind.Unpublished)]
    [InlineData("unload pe=0 vm=2;take-tables pe=1 first=0x40004000 count=1;"
        + "write-entry pe=1 at=0x40001008 value=0x40004003;" + Dsb + "load pe=0 vm=2 vmid=1;", Fine)]
    [InlineData("write start=0x40201000 bytes=0x1000 writer=1 owner=1 path=cached pe=1;"
        + "write-entry pe=1 at=0x40002008 value=0x400000402017ff;" + Dsb, ViolationKind.Unpublished)]
    [InlineData("write start=0x40201000 bytes=0x1000 writer=1 owner=1 path=cached pe=1;dsb pe=1 op=ishst;"
        + "write-entry pe=1 at=0x40002008 value=0x400000402017ff;" + Dsb, Fine)]
    [InlineData("write start=0x40201000 bytes=0x1000 writer=1 owner=1 path=cached pe=0;"
        + "write-entry pe=0 at=0x40002008 value=0x400000402017ff;dsb pe=0 op=ishst;", Fine)]
    [InlineData("write start=0x40201000 bytes=0x1000 writer=1 owner=1 path=cached pe=0;"
        + "write-entry pe=0 at=0x40002008 value=0x400000402017ff;load pe=2 vm=2 vmid=1;", ViolationKind.Unpublished)]
    [InlineData("call vm=2;write-entry pe=1 at=0x40002008 value=0x400000402017ff;return;", ViolationKind.Unpublished)]
    [InlineData("call vm=2;write-entry pe=1 at=0x40002008 value=0x400000402017ff;dsb pe=1 op=ishst;return;", Fine)]
    public void What_a_walk_comes_to_is_visible(string events, ViolationKind expected) => Check(events, expected);

    /// <summary>D. A PE that enters between an overwrite and its writer's DSB.</summary>
    [Theory]
    [InlineData("call vm=2;" + Unmap + "load pe=3 vm=2 vmid=2;" + Dsb + Whole + Dsb + Free + "return;",
        ViolationKind.FrameFreedInUse)]
    [InlineData("call vm=2;" + Unmap + Dsb + "load pe=3 vm=2 vmid=2;" + Whole + Dsb + Free + "return;", Fine)]
    [InlineData("unload pe=0 vm=2;" + Whole + Dsb + "write-entry pe=1 at=0x40002000 value=0x400000402017ff;"
        + "load pe=0 vm=2 vmid=1;", ViolationKind.BreakBeforeMake)]
    public void What_walks_still_find_is_cached(string events, ViolationKind expected) => Check(events, expected);

    /// <summary>E. Frames that go while a table maps them, and what is declared shared.</summary>
    [Theory]
    [InlineData("unload pe=0 vm=2;" + Free, ViolationKind.FrameFreedInUse)]
    [InlineData(VmB + "write-entry pe=1 at=0x40006000 value=0x400000402007ff;", ViolationKind.UndeclaredSharing)]
    [InlineData("write-entry pe=1 at=0x40002008 value=0x400000402007ff;", ViolationKind.UndeclaredSharing)]
    [InlineData("unload pe=0 vm=2;take-tables pe=1 first=0x40200000 count=1;", ViolationKind.UndeclaredSharing)]
    [InlineData("write-entry pe=1 at=0x40002008 value=0x400000400027ff;", ViolationKind.UndeclaredSharing)]
    [InlineData("call vm=2;" + Unmap + Dsb + VmB + "write-entry pe=1 at=0x40006000 value=0x400000402007ff;",
        ViolationKind.FrameFreedInUse)]
    [InlineData("share start=0x40200000 bytes=0x1000;", ViolationKind.UndeclaredSharing)]
    [InlineData(ProtectPage + "share start=0x40200000 bytes=0x1000;" + VmB
        + "write-entry pe=1 at=0x40006000 value=0x4000004020077f;" + Dsb, Fine)]
    [InlineData(ProtectPage + "share start=0x40200000 bytes=0x1000;" + VmB
        + "write-entry pe=1 at=0x40006000 value=0x400000402007ff;" + Dsb, ViolationKind.UndeclaredSharing)]
    [InlineData(ProtectPage + "share start=0x40200000 bytes=0x1000;" + VmB
        + "write-entry pe=1 at=0x40006000 value=0x4000004020077f;" + Dsb + "unshare start=0x40200000 bytes=0x1000;",
        ViolationKind.UndeclaredSharing)]
    [InlineData(ProtectPage + "share start=0x40200000 bytes=0x1000;share start=0x40002000 bytes=0x1000;" + VmB
        + "write-entry pe=1 at=0x40005000 value=0x0;" + Dsb + "write-entry pe=1 at=0x40005000 value=0x40002003;" + Dsb,
        Fine)]
    [InlineData(VmB + "write-entry pe=1 at=0x40005008 value=0x40002003;", ViolationKind.WalkOfFreedTable)]
    public void Sharing_is_declared(string events, ViolationKind expected) => Check(events, expected);

    /// <summary>F. Tables that are cut off, and walk caches that still lead there.</summary>
    [Theory]
    [InlineData(CutOff + "tlbi pe=1 op=ipas2le1is vmid=1 " + Page + ";" + Dsb + Combined + Free,
        ViolationKind.FrameFreedInUse)]
    [InlineData(CutOff + ByIpa + Combined + Free, Fine)]
    [InlineData(CutOff + "write-entry pe=1 at=0x40002008 value=0x400000402017ff;" + Dsb + ByIpa + Combined
        + "return-frames start=0x40201000 bytes=0x1000;", ViolationKind.FrameFreedInUse)]
    [InlineData(CutOff + "write-entry pe=1 at=0x40002008 value=0x400000402017ff;" + Dsb + Whole + Dsb
        + "return-frames start=0x40201000 bytes=0x1000;", Fine)]
    [InlineData(CutOff + "write-entry pe=1 at=0x40002000 value=0x400000402017ff;", ViolationKind.BreakBeforeMake)]
    [InlineData(CutOff + Whole + Dsb + "write-entry pe=1 at=0x40002000 value=0x400000402017ff;", Fine)]
    public void What_is_written_where_walk_caches_lead_is_cached(string events, ViolationKind expected) =>
        Check(events, expected);

    /// <summary>What one invalidation leaves where it does not name, or does not wait for, an entry.</summary>
    [Theory]
    [InlineData("write-entry pe=1 at=0x40001000 value=0x0;" + Dsb + "tlbi pe=1 op=ipas2le1is vmid=1 " + Page + ";" + Dsb
        + Combined + "return-tables first=0x40002000 count=1;", ViolationKind.TableFreedInUse)]
    [InlineData(Unmap + Dsb + "tlbi pe=1 op=ipas2le1is vmid=1 " + Page + ";" + Dsb + Combined + Free, Fine)]
    [InlineData(Unmap + Dsb + "tlbi pe=1 op=vmalls12e1isnxs vmid=1 " + All + ";" + Dsb + Free,
        ViolationKind.FrameFreedInUse, "xs")]
    [InlineData("call vm=2;write-entry pe=1 at=0x40002000 value=0x200000402007ff;" + Dsb + "return;",
        ViolationKind.StaleTranslation)]
    [InlineData("call vm=2;write-entry pe=1 at=0x40002000 value=0x4800004020077f;" + Dsb + Whole + Dsb + "return;",
        ViolationKind.StaleTranslation)]
    [InlineData("call vm=2;write-entry pe=1 at=0x40002008 value=0x4800004020177f;" + Dsb + "return;"
        + "share start=0x40201000 bytes=0x1000;", ViolationKind.UndeclaredSharing)]
    [InlineData("call vm=2;write-entry pe=1 at=0x40002008 value=0x480000402017ff;" + Dsb + "return;", Fine)]
    public void An_invalidation_takes_what_it_names(string events, ViolationKind expected, string features = "none") =>
        Check(events, expected, features);

    /// <summary>Two invalidations come in either order, unless a DSB is between them (DDI 0487 D8).</summary>
    [Theory]
    [InlineData(CutOff + TableOnly + LeafOnly + Dsb + Combined + Free, ViolationKind.FrameFreedInUse)]
    [InlineData(CutOff + LeafOnly + TableOnly + Dsb + Combined + Free, ViolationKind.FrameFreedInUse)]
    [InlineData(CutOff + LeafOnly + Dsb + TableOnly + Dsb + Combined + Free, ViolationKind.FrameFreedInUse)]
    [InlineData(CutOff + TableOnly + Dsb + LeafOnly + Dsb + Combined + Free, Fine)]
    [InlineData(CutOff + "tlbi pe=1 op=ipas2e1is vmid=1 " + Page + ";" + LeafOnly + Dsb + Combined + Free, Fine)]
    public void Invalidations_have_an_order_by_DSB_only(string events, ViolationKind expected) =>
        Check(events, expected);

    [Theory]
    [InlineData("tlbi pe=1 op=ipas2e1is vmid=1 ipa=0x80000000 bytes=0x2000 level=0 reaches=0xffffffff;", "tlbirange")]
    [InlineData("tlbi pe=1 op=alle1isnxs vmid=0 " + All + ";", "xs")]
    public void A_trace_that_is_beyond_the_model_is_refused(string events, string why)
    {
        TraceFormatException refused = Should.Throw<TraceFormatException>(() => Judge(events, "none"));
        refused.IsBeyondModel.ShouldBeTrue();
        refused.Message.ShouldContain(why);
    }

    /// <summary>
    /// J. vCPUs of one VM on one PE: what each finds there is its own Stage-1's. PE 0 ran vCPU 0.
    /// </summary>
    [Theory]
    [InlineData("access pe=0;" + Second + "access pe=0;", ViolationKind.OtherVcpusEntry)]
    [InlineData(Second + Local + Nsh + "access pe=0;", Fine)]
    [InlineData(Second + Local + "access pe=0;" + Nsh, ViolationKind.OtherVcpusEntry)]
    [InlineData(Second + Local + "dsb pe=0 op=ishst;access pe=0;", ViolationKind.OtherVcpusEntry)]
    [InlineData(Second + Local + "dsb pe=2 op=ish;access pe=0;", ViolationKind.OtherVcpusEntry)]
    [InlineData(Local + Second + Nsh + "access pe=0;", ViolationKind.OtherVcpusEntry)]
    [InlineData("unload pe=0 vm=2;" + Local + Nsh + Second + "access pe=0;", Fine)]
    [InlineData(Second + "tlbi pe=2 op=vmalle1is vmid=1 ipa=0x0 bytes=0x0 level=0 reaches=0x4;dsb pe=2 op=nsh;"
        + "access pe=0;", ViolationKind.OtherVcpusEntry)]
    [InlineData(Second + Combined + "access pe=0;", Fine)]
    [InlineData(Second + Whole + Dsb + "access pe=0;", Fine)]
    [InlineData(Second + Whole + "dsb pe=1 op=nsh;access pe=0;", ViolationKind.OtherVcpusEntry)]
    [InlineData(Second + ByIpa + "access pe=0;", ViolationKind.OtherVcpusEntry)]
    [InlineData(Second + "tlbi pe=0 op=vmalle1is vmid=2 ipa=0x0 bytes=0x0 level=0 reaches=0x1;" + Nsh + "access pe=0;",
        ViolationKind.OtherVcpusEntry)]
    [InlineData(Second + Local + Nsh + "access pe=0;load pe=0 vm=2 vmid=1;access pe=0;",
        ViolationKind.OtherVcpusEntry)]
    [InlineData("load pe=2 vm=2 vmid=1 vcpu=1;access pe=2;access pe=0;", Fine)]
    [InlineData("load pe=0 vm=2 vmid=2 vcpu=1;access pe=0;", Fine)]
    [InlineData("unload pe=0 vm=2;" + VmB + "load pe=0 vm=3 vmid=2;access pe=0;load pe=0 vm=2 vmid=1;access pe=0;",
        Fine)]
    public void A_vcpu_finds_no_entries_of_another_one(string events, ViolationKind expected) =>
        Check(events, expected);

    /// <summary>
    /// K. Forms that are not shareable: enough where the VM has been on the issuing PE alone, and the write is seen by
    /// all.
    /// </summary>
    [Theory]
    [InlineData(UnmapHere + "dsb pe=0 op=ishst;" + LocalIpa + Nsh + Local + Nsh + Free + "return;", Fine)]
    [InlineData("load pe=2 vm=2 vmid=1;unload pe=2 vm=2;" + UnmapHere + "dsb pe=0 op=ishst;" + LocalIpa + Nsh + Local
        + Nsh + "return;", ViolationKind.StaleTranslation)]
    [InlineData(UnmapHere + "load pe=2 vm=2 vmid=1;dsb pe=0 op=ishst;" + LocalIpa + Nsh + Local + Nsh + "return;",
        ViolationKind.StaleTranslation)]
    [InlineData(UnmapHere + Nsh + LocalIpa + Nsh + Local + Nsh + "return;", ViolationKind.StaleTranslation)]
    [InlineData(UnmapHere + "dsb pe=0 op=ishst;" + LocalIpa + Nsh + Local + "return;" + Nsh,
        ViolationKind.StaleTranslation)]
    [InlineData("load pe=2 vm=2 vmid=1;unload pe=2 vm=2;" + Whole + Dsb + UnmapHere + "dsb pe=0 op=ishst;" + LocalIpa
        + Nsh + Local + Nsh + Free + "return;", Fine)]
    public void A_local_invalidation_reaches_its_own_pe(string events, ViolationKind expected) =>
        Check(events, expected);

    private const string Second = "load pe=0 vm=2 vmid=1 vcpu=1;";
    private const string Nsh = "dsb pe=0 op=nsh;";
    private const string Local = "tlbi pe=0 op=vmalle1is vmid=1 ipa=0x0 bytes=0x0 level=0 reaches=0x1;";

    private const string LocalIpa =
        "tlbi pe=0 op=ipas2e1is vmid=1 ipa=0x80000000 bytes=0x1 level=0 reaches=0x1;";

    private const string UnmapHere = "call vm=2;write-entry pe=0 at=0x40002000 value=0x0;";

    private const string ProtectPage =
        "call vm=2;write-entry pe=1 at=0x40002000 value=0x4000004020077f;" + Dsb + Whole + Dsb + "return;";

    private const string TableOnly =
        "tlbi pe=1 op=ipas2e1is vmid=1 ipa=0x80001000 bytes=0x1 level=0 reaches=0xffffffff;";

    private const string LeafOnly =
        "tlbi pe=1 op=ipas2e1is vmid=1 ipa=0x80000000 bytes=0x1 level=3 reaches=0xffffffff;";

    private const string CutOff = "write-entry pe=1 at=0x40001000 value=0x0;" + Dsb;

    private static void Check(string events, ViolationKind expected, string features = "none")
    {
        TraceOutcome outcome = Judge(events, features);
        (outcome.Violation?.Kind ?? Fine).ShouldBe(expected, outcome.Violation?.Text ?? "no violation");
    }

    private static TraceOutcome Judge(string events, string features)
    {
        string[] lines =
        [
            $"machine granule=4K pes=4 features={features}",
            "memory start=0x40000000 bytes=0x800000 kind=pool contents=zero",
            "take-tables pe=1 first=0x40000000 count=1",
            "vm number=2 name=\"VM A\" root=0x40000000 tables=1 level=1",
            "take-tables pe=1 first=0x40001000 count=2",
            "write-entry pe=1 at=0x40000010 value=0x40001003",
            "write-entry pe=1 at=0x40001000 value=0x40002003",
            "write-entry pe=1 at=0x40002000 value=0x400000402007ff",
            "dsb pe=1 op=ishst",
            "load pe=0 vm=2 vmid=1",
            .. events.Split(';', StringSplitOptions.RemoveEmptyEntries),
        ];
        int open = lines.Count(line => line.StartsWith("call ", StringComparison.Ordinal))
            - lines.Count(line => line == "return");
        lines = [.. lines, .. Enumerable.Repeat("return", open)];
        string trace = $"quietus oracle trace 1\n{string.Join('\n', lines)}\nend events={lines.Length}\n";
        return TraceReader.Judge(new MemoryStream(Encoding.ASCII.GetBytes(trace)));
    }
}
