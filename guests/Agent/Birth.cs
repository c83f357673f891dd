using Quietus.Agent.Serving;
using Quietus.LinuxProgram;

namespace Quietus.Agent;

/// <summary>The freeze that makes this VM a template, and the first thing that each child does.</summary>
internal static class Birth
{
    /// <summary>A store asks for the freeze; a load gives the VM's number, which no two VMs have in common.</summary>
    private const ulong FreezeRegister = 0x0906_0000;

    /// <summary>
    /// Asks to be frozen. Returns in each child, which has random numbers of its own before any program runs on any of
    /// its processors, and addresses of its own soon after. False, with a message, when that cannot be.
    /// </summary>
    internal static bool Await()
    {
        long there = SystemCalls.Open("/proc/device-tree/freeze@9060000/compatible"u8, 0);
        if (there < 0 || !DevicePage.TryMap(FreezeRegister, out DevicePage register))
        {
            Message.Say("this machine has no freeze register, or the kernel does not give it out (/dev/mem)"u8);
            return false;
        }

        SystemCalls.Close((int)there);
        OtherProcessors others = default;
        if (!Identity.TryOpen(out Identity identity) || !others.TryHold())
        {
            return false;
        }

        ulong before = register.Load(0);
        _ = Network.TryFind(before);
        register.Store(0, 0);
        bool isChild = register.Load(0) != before;
        bool isRenewed = isChild && identity.Renew();
        others.Release();
        if (!isChild)
        {
            Message.Say("the hypervisor refused: this VM cannot be a template (policy=fate, and not unmapped)"u8);
        }

        // Not while the other processors are held: the kernel may wait for one of them.
        return isRenewed && Network.TrySet(register.Load(0));
    }
}
