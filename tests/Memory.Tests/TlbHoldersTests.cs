using Shouldly;
using Xunit;

namespace Quietus.Memory.Tests;

/// <summary>Which PEs may hold a VM's entries: what the oracle's defects 52 and 53 leave out.</summary>
public class TlbHoldersTests
{
    [Fact]
    public void A_vcpu_that_stays_is_alone_from_its_first_load_on()
    {
        TlbHolders holders = default;
        holders.Initialize(hasOneVcpu: true);
        holders.Load(3);
        holders.IsAlone.ShouldBeTrue();
        holders.Load(3);
        holders.IsAlone.ShouldBeTrue();
    }

    [Fact]
    public void One_that_moves_is_alone_again_after_one_broadcast()
    {
        TlbHolders holders = default;
        holders.Initialize(hasOneVcpu: true);
        holders.Load(1);
        holders.Load(2);
        holders.IsAlone.ShouldBeFalse();
        holders.Load(1);
        holders.IsAlone.ShouldBeFalse("what it left on 2 is still there");
        holders.TryBecomeAlone().ShouldBeTrue();
        holders.IsAlone.ShouldBeTrue();
        holders.Load(2);
        holders.IsAlone.ShouldBeFalse();
    }

    [Fact]
    public void With_several_vcpus_no_PE_ever_is()
    {
        TlbHolders holders = default;
        holders.Initialize(hasOneVcpu: false);
        holders.Load(63);
        holders.IsAlone.ShouldBeFalse();
        holders.TryBecomeAlone().ShouldBeFalse();
        holders.Load(63);
        holders.IsAlone.ShouldBeFalse();
    }

    [Fact]
    public void Before_the_first_load_none_is() => default(TlbHolders).IsAlone.ShouldBeFalse();
}
