using Quietus.LinuxProgram;

namespace Quietus.Agent.Serving;

/// <summary>What the agent knows of the VM that it is in, and how it ends it.</summary>
internal static class Machine
{
    private const ulong FreezeRegister = 0x0906_0000;
    private const ulong LostRegister = 8;

    private static DevicePage _register;
    private static Identity _identity;
    private static bool _hasRegister;
    private static bool _hasIdentity;

    /// <summary>The VM's number, another one in each child; 0 where the machine does not say.</summary>
    internal static ulong Vm => _hasRegister ? _register.Load(0) : 0;

    /// <summary>
    /// Opens what takes time to open, before the VM becomes a template, and sets the network up. False: there is none.
    /// </summary>
    internal static bool Open()
    {
        long there = SystemCalls.Open("/proc/device-tree/freeze@9060000/compatible"u8, 0);
        _hasRegister = there >= 0 && DevicePage.TryMap(FreezeRegister, out _register);
        _hasIdentity = Identity.TryOpen(out _identity);
        if (there >= 0)
        {
            SystemCalls.Close((int)there);
        }

        SharedPage.RenewedFor = Vm;
        return Network.TryOpen(Vm);
    }

    /// <summary>After a birth: random numbers and addresses of its own. False when they cannot be.</summary>
    internal static bool TryBeItself(ulong vm)
    {
        if (vm == SharedPage.RenewedFor)
        {
            return true;
        }

        bool isRenewed = (!_hasIdentity || _identity.Renew()) && Network.TrySet(vm);
        SharedPage.RenewedFor = isRenewed ? vm : SharedPage.RenewedFor;
        return isRenewed;
    }

    /// <summary>The agent is not whole any more: the VM is of no use to its host. Does not return.</summary>
    internal static void End()
    {
        Message.Say("a part of the agent was killed: this VM ends"u8);
        if (_hasRegister)
        {
            _register.Store(LostRegister, 1);
        }

        while (true)
        {
            SystemCalls.PowerOff();
            SystemCalls.Exit(1);
        }
    }
}
