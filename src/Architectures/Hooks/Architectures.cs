using System.Collections.Generic;
using Quietus.Memory;
using Quietus.Simulator;

namespace Quietus.Architectures;

/// <summary>The architectures' table.</summary>
internal static class Architectures
{
    private static readonly GuestPages[] _everySize =
        [GuestPages.Pages4K, GuestPages.Blocks2M, GuestPages.Blocks1G, GuestPages.Transparent];

    internal static IReadOnlyList<Architecture> All { get; } =
    [
        new Architecture
        {
            Name = "arm",
            Title = "32-bit arm, LPAE Stage-2",
            Source = "virt/kvm/arm/mmu.c, arch/arm/kvm/hyp/tlb.c",
            Did = "Cleared each page, dropped the whole VMID for it (ARMv7 has no invalidation by IPA), waited, and "
                + "cleaned it line by line.",
            Does = "As on arm64: one TLBIALLIS for a batch, and cleaning by the page's fate.",
            MustNot = "As on arm64: UNMAP is also mremap's, and of a file's or a shared page; cleaning stays there.",
            Pages = _everySize,
            Maker = static options => new Arm32Hook(options),
            Names = new Dictionary<HookOperation, string>
            {
                [HookOperation.FlushGuest] = "TLBIALLIS",
                [HookOperation.FlushWait] = "DSB ISH",
                [HookOperation.CacheLine] = "DCCIMVAC",
                [HookOperation.TableFree] = "tables freed",
            },
            Further =
            [
                MaintenancePolicy.Patch5, MaintenancePolicy.Patch6, MaintenancePolicy.Patch7,
                MaintenancePolicy.TablesOnly,
            ],
        },
        X86("x86-ept", "x86 with EPT", "INVEPT", static options => new X86Hook<Ept>(options)),
        X86("x86-npt", "x86 with NPT", "new ASID", static options => new X86Hook<Npt>(options)),
        new Architecture
        {
            Name = "power-radix",
            Title = "POWER9, radix guest",
            Source = "arch/powerpc/kvm/book3s_64_mmu_radix.c",
            Did = "Looked each page up from the root, cleared it, and flushed it by a tlbie of its own between two "
                + "ptesync.",
            Does = "Walks the tables and owes one flush for the change: a few tlbie, or one for the LPID. "
                + "Copy-on-write takes the right to write in place.",
            MustNot = "mprotect's event does not say that reading stays: PROT_NONE has the same one, so it unmaps.",
            Pages = [.. _everySize, GuestPages.Pages64K],
            Maker = static options => new PowerRadixHook(options),
            Names = Power,
            AtTheEnd = "Linux 5.5 frees a radix guest's tables without a look at their leaves already",
        },
        new Architecture
        {
            Name = "power-hpt",
            Title = "POWER9, hashed page table",
            Source = "arch/powerpc/kvm/book3s_64_mmu_hv.c",
            Did = "Looked at each page's reverse chain, made each entry absent, and flushed it by a tlbie of its own.",
            Does = "Makes the entries absent and owes one flush for the change.",
            MustNot = "R and C are harvested only after the flush: an entry that hardware may still use can still be "
                + "marked.",
            Pages = [GuestPages.Pages4K],
            Maker = static options => new PowerHashedHook(options),
            Names = Power,
            AtTheEnd = "the table is one allocation and goes as it is",
        },
        new Architecture
        {
            Name = "power-pr",
            Title = "book3s PR, shadow entries",
            Source = "arch/powerpc/kvm/book3s_mmu_hpte.c",
            Did = "Went through every shadow entry of every vCPU for the few of the range, and flushed each.",
            Does = "Finds them by guest page, and waits once.",
            MustNot = "The entries lie in the host's own table: no flush of a guest's LPID stands for them.",
            Pages = [GuestPages.Pages4K],
            Maker = static options => new PowerShadowHook(options),
            Names = new Dictionary<HookOperation, string>
            {
                [HookOperation.FlushPage] = "tlbie",
                [HookOperation.FlushWait] = "ptesync",
            },
            AtTheEnd = "it has no tables of its own",
        },
        new Architecture
        {
            Name = "e500",
            Title = "e500mc, shadow TLB",
            Source = "arch/powerpc/kvm/e500_mmu_host.c",
            Did = "Asked every vCPU to drop its whole TLB, for one page as for all, and for memory that is not the "
                + "guest's.",
            Does = "Finds the shadow entries by guest page, and asks the vCPUs that have one: to drop it, or all where "
                + "there are several, or to write it again without the right to write.",
            MustNot = "A page without a shadow entry owes nothing; one that was written over in the array is no "
                + "longer there, and neither is what hardware had of it.",
            Pages = [GuestPages.Pages4K, GuestPages.Blocks2M],
            Maker = static options => new E500Hook(options),
            Names = new Dictionary<HookOperation, string>
            {
                [HookOperation.FlushPage] = "tlbwe",
                [HookOperation.FlushGuest] = "tlbilxlpid",
                [HookOperation.FlushWait] = "waits",
                [HookOperation.Ipi] = "IPI",
            },
            AtTheEnd = "hardware walks no table there",
        },
        new Architecture
        {
            Name = "mips",
            Title = "MIPS with VZ",
            Source = "arch/mips/kvm/mmu.c, arch/mips/kvm/vz.c",
            Did = "Cleared the range in the GPA table, and dropped the guest's TLB entries on every vCPU, whether it "
                + "had found anything or not.",
            Does = "Owes that flush only for what was mapped, once for the change. Copy-on-write clears D in place.",
            MustNot = "D follows \"modified\", not the host's right to write: both have to go, or the guest takes it "
                + "back by itself.",
            Pages = [GuestPages.Pages4K],
            Maker = static options => new MipsHook(options),
            Names = new Dictionary<HookOperation, string>
            {
                [HookOperation.FlushGuest] = "GuestID flush",
                [HookOperation.FlushWait] = "waits",
                [HookOperation.Ipi] = "IPI",
                [HookOperation.TableFree] = "tables freed",
            },
            Further = [MaintenancePolicy.TablesOnly],
            AtTheEnd = "Linux 5.5 ends a dying VM by one flush already",
        },
    ];

    private static IReadOnlyDictionary<HookOperation, string> Power => new Dictionary<HookOperation, string>
    {
        [HookOperation.FlushPage] = "tlbie",
        [HookOperation.FlushGuest] = "tlbie LPID",
        [HookOperation.FlushWait] = "ptesync",
        [HookOperation.TableFree] = "tables freed",
    };

    private static Architecture X86(
        string name, string title, string flush, System.Func<GuestOptions, GuestHook> maker) => new()
        {
            Name = name,
            Title = title,
            Source = "arch/x86/kvm/mmu/mmu.c",
            Did = "Looked at the reverse map of each page in each size, cleared what it led to, and answered that a "
                + "remote flush is owed: the core interrupted the vCPUs, once for the call. With SEV, since 5.18, it "
                + "wrote back all caches of the machine besides.",
            Does = "Walks the tables, one flush for the change. Copy-on-write takes the right to write in place. With "
                + "SEV, caches are written back only where a page leaves the guest.",
            MustNot = "With SEV a freed page is the one that must be written back: a dirty line under the guest's key "
                + "can come down on its next owner. And mprotect's event does not say that reading stays.",
            Pages = _everySize,
            Maker = maker,
            Names = new Dictionary<HookOperation, string>
            {
                [HookOperation.FlushGuest] = flush,
                [HookOperation.FlushWait] = "waits",
                [HookOperation.Ipi] = "IPI",
                [HookOperation.CacheAll] = "WBINVD",
                [HookOperation.TableFree] = "tables freed",
            },
            Further = [MaintenancePolicy.TablesOnly],
            AtTheEnd = "Linux 5.5 ends a dying VM by one flush already",
        };
}
