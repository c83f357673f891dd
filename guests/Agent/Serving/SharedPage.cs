using System.Threading;
using Quietus.LinuxProgram;

namespace Quietus.Agent.Serving;

/// <summary>What the agent's processes know together: for which VM the random numbers were renewed last.</summary>
/// <remarks>Invariant: the page is shared memory of all of them, mapped before the first was made.</remarks>
internal static unsafe class SharedPage
{
    private const ulong PageBytes = 4096;
    private const ulong ReadWrite = 3; // PROT_READ, PROT_WRITE
    private const ulong SharedAnonymous = 0x21; // MAP_SHARED, MAP_ANONYMOUS

    private static ulong* _page;

    /// <summary>The VM whose random numbers the kernel's are.</summary>
    internal static ulong RenewedFor
    {
        get => Volatile.Read(ref *_page);
        set => Volatile.Write(ref *_page, value);
    }

    internal static bool TryMap()
    {
        long page = SystemCalls.MapMemory(PageBytes, ReadWrite, SharedAnonymous, -1);
        _page = (ulong*)page;
        return page > 0;
    }
}
