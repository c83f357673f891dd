using System.Runtime;
using System.Runtime.CompilerServices;
using Quietus.LinuxProgram;

namespace Quietus.Agent;

/// <summary>
/// A page of the VM's devices, by way of /dev/mem. Linux gives out what is no memory and what none of its drivers has
/// (CONFIG_IO_STRICT_DEVMEM).
/// </summary>
internal readonly struct DevicePage
{
    private const ulong Bytes = 4096;
    private const ulong ReadWrite = 3; // PROT_READ, PROT_WRITE

    private readonly ulong _start;

    private DevicePage(ulong start) => _start = start;

    /// <summary>Maps the page at an IPA; false when the kernel refuses.</summary>
    internal static bool TryMap(ulong ipa, out DevicePage page)
    {
        page = default;
        long memory = SystemCalls.Open("/dev/mem"u8, SystemCalls.ReadWrite | SystemCalls.Synchronously);
        if (memory < 0)
        {
            return false;
        }

        long start = SystemCalls.MapFile((int)memory, ipa, Bytes, ReadWrite);
        SystemCalls.Close((int)memory);
        page = new DevicePage((ulong)start);
        return start >= 0;
    }

    internal ulong Load(ulong offset) => LoadRegister(_start + offset);

    internal void Store(ulong offset, ulong value) => StoreRegister(_start + offset, value);

    [RuntimeImport("*", "load_register"), MethodImpl(MethodImplOptions.InternalCall)]
    private static extern ulong LoadRegister(ulong address);

    [RuntimeImport("*", "store_register"), MethodImpl(MethodImplOptions.InternalCall)]
    private static extern void StoreRegister(ulong address, ulong value);
}
