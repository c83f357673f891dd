using Quietus.Hypervisor.Devices;
using Shouldly;
using Xunit;

namespace Quietus.Hypervisor.Tests.Devices;

public class CoreErrataTests
{
    // MIDR_EL1 of revisions that exist; QEMU's cortex-a72, neoverse-n1 and max among them.
    private const ulong A53 = 0x410F_D034;
    private const ulong A57 = 0x411F_D070;
    private const ulong A72 = 0x410F_D083;
    private const ulong A76 = 0x414F_D0B1;
    private const ulong N1 = 0x414F_D0C1;
    private const ulong V1 = 0x411F_D402;
    private const ulong N2 = 0x410F_D493;
    private const ulong V2 = 0x410F_D4F1;
    private const ulong QemuMax = 0x000F_0510;
    private const ulong Olympus = 0x4E0F_0100;
    private const ulong Cobalt = 0x6D0F_D490;

    [Theory]
    [InlineData(A53, 0u)]
    [InlineData(A57, 8u)]
    [InlineData(A72, 8u)]
    [InlineData(A76, 24u)]
    [InlineData(N1, 24u)]
    [InlineData(V1, 32u)]
    [InlineData(N2, 32u)]
    [InlineData(V2, 132u)]
    [InlineData(QemuMax, 0u)]
    [InlineData(0x510F_D083UL, 0u)]
    public void The_rounds_that_clear_the_branch_history_are_the_cores(ulong identity, uint expected)
    {
        HostIdRegisters host = default;
        CoreErrata.BranchHistoryRounds(identity, in host).ShouldBe(expected);

        // FEAT_CSV2_2 changes nothing, FEAT_CSV2_3 and FEAT_ECBHB do all, FEAT_CLRBHB needs one round.
        CoreErrata.BranchHistoryRounds(identity, new HostIdRegisters { Pfr0 = 2UL << 56 }).ShouldBe(expected);
        CoreErrata.BranchHistoryRounds(identity, new HostIdRegisters { Pfr0 = 3UL << 56 }).ShouldBe(0u);
        CoreErrata.BranchHistoryRounds(identity, new HostIdRegisters { Mmfr1 = 1UL << 60 }).ShouldBe(0u);
        CoreErrata.BranchHistoryRounds(identity, new HostIdRegisters { Isar2 = 1UL << 28 }).ShouldBe(1u);
    }

    [Theory]
    [InlineData(A53, false)]
    [InlineData(A57, false)]
    [InlineData(A72, false)]
    [InlineData(A76, true)]
    [InlineData(N1, true)]
    [InlineData(V1, true)]
    [InlineData(N2, true)]
    [InlineData(V2, true)]
    [InlineData(Olympus, true)]
    [InlineData(Cobalt, true)]
    [InlineData(QemuMax, false)]
    public void Invalidations_are_repeated_where_one_does_not_complete(ulong identity, bool expected) =>
        CoreErrata.RepeatsInvalidation(identity).ShouldBe(expected);

    [Theory]
    [InlineData(0x410F_D030UL, true)]
    [InlineData(A53, true)]
    [InlineData(0x410F_D035UL, false)]
    [InlineData(0x411F_D030UL, false)]
    [InlineData(A57, false)]
    [InlineData(A72, false)]
    public void Early_A53s_clean_by_cleaning_and_invalidating(ulong identity, bool expected) =>
        CoreErrata.CleansByInvalidating(identity).ShouldBe(expected);
}
