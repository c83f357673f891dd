using Shouldly;
using Xunit;

namespace Quietus.Memory.Tests;

/// <summary>What a PE notes of the vCPUs that it ran. Whether the rule is right is the oracle's to say.</summary>
public class LastVcpusTests
{
    [Fact]
    public void Of_a_vm_the_vcpu_that_a_pe_ran_last_finds_its_own_entries_and_no_other_one_does()
    {
        var bytes = new Pinned<byte>(2);
        LastVcpus last = default;
        last.Initialize(bytes.Array);

        last.IsOther(0, 0).ShouldBeTrue("nothing is known of this VM yet");
        last.IsOther(0, 0).ShouldBeFalse();
        last.IsOther(1, 0).ShouldBeTrue("another VM has a note of its own");
        last.IsOther(0, 0).ShouldBeFalse();
        last.IsOther(0, 1).ShouldBeTrue();
        last.IsOther(0, 0).ShouldBeTrue("the other one ran since");
    }
}
