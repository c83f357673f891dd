namespace Quietus.Filler.Machine;

/// <summary>PSCI calls (DEN0022) by the conduit that the device tree names.</summary>
internal static class Firmware
{
    /// <summary>SMCCC_VERSION (DEN0028).</summary>
    internal const ulong CallingConventionVersion = 0x8000_0000;
    internal const ulong Version = 0x8400_0000;
    internal const ulong CpuSuspend = 0xC400_0001;
    internal const ulong CpuOff = 0x8400_0002;
    internal const ulong CpuOn = 0xC400_0003;
    internal const ulong AffinityInfo = 0xC400_0004;
    internal const ulong SystemOff = 0x8400_0008;
    internal const ulong SystemReset = 0x8400_0009;
    internal const ulong Features = 0x8400_000A;

    internal const long NotSupported = -1;
    internal const long InvalidParameters = -2;
    internal const long Denied = -3;
    internal const long AlreadyOn = -4;
    internal const long OnPending = -5;
    internal const long InvalidAddress = -9;

    /// <summary>A call. 32-bit functions answer in W0; the sign is that of W0 for both.</summary>
    internal static long Call(ulong function, ulong a = 0, ulong b = 0, ulong c = 0)
    {
        ulong answer = Board.CallsBySmc
            ? Instructions.SecureCall(function, a, b, c)
            : Instructions.HypervisorCall(function, a, b, c);
        return (int)(uint)answer;
    }

    /// <summary>Ends the machine; waits for ever if it will not end.</summary>
    internal static void TurnOff()
    {
        Call(SystemOff);
        Instructions.Halt();
    }
}
