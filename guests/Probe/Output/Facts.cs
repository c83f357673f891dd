using System;
using Quietus.Probe.Kvm;
using Quietus.Probe.Linux;
using Quietus.Wire;

namespace Quietus.Probe.Output;

/// <summary>
/// What the host is, as far as a process without rights can know: two lines for people, or all as JSON.
/// </summary>
/// <remarks>Invariant: the buffers that Linux fills in are as large as the structures that it writes.</remarks>
internal static unsafe class Facts
{
    private const int NameBytes = 65; // struct utsname: six of them; the release is the third, the machine the fifth
    private const int MostText = 16384;
    private const int MostProcessors = 8192;

    private static bool isFirst;

    /// <summary>The lines above the tables.</summary>
    internal static void WriteLines()
    {
        byte* names = stackalloc byte[6 * NameBytes];
        SystemCalls.Names(names);
        Span<byte> text = stackalloc byte[MostText];
        Sink.Text("quietus-probe: Linux "u8);
        Sink.Text(NameAt(names, 2));
        Sink.Text(", "u8);
        Sink.Text(NameAt(names, 4));
        Sink.Text("\n"u8);
        Sink.Text(Features.Processor(TextFile.Read("/proc/cpuinfo"u8, text)));
        Sink.Text(", "u8);
        Sink.Number((ulong)Processors.Count);
        Sink.Text(" CPUs; tables: "u8);
        Sink.Text(Features.SecondStage());
        Sink.Text("\n\n"u8);
        Sink.Flush();
    }

    /// <summary>The object "host".</summary>
    internal static void Write()
    {
        isFirst = true;
        Sink.Text("{"u8);
        byte* names = stackalloc byte[6 * NameBytes];
        SystemCalls.Names(names);
        Text("kernel"u8, NameAt(names, 2));
        Text("kernel_build"u8, NameAt(names, 3));
        Text("architecture"u8, NameAt(names, 4));

        Span<byte> text = stackalloc byte[MostText];
        ReadOnlySpan<byte> cpu = TextFile.Read("/proc/cpuinfo"u8, text);
        Text("cpu"u8, Features.Processor(cpu));
        Features.Write(cpu);
        Text("second_stage"u8, Features.SecondStage());
        Number("cpus"u8, (ulong)Processors.Count);
        Number("sockets"u8, Sockets());
        File("numa_nodes"u8, "/sys/devices/system/node/online"u8);
        File("governor"u8, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"u8);
        File("machine_vendor"u8, "/sys/class/dmi/id/sys_vendor"u8);
        File("machine_name"u8, "/sys/class/dmi/id/product_name"u8);

        ReadOnlySpan<byte> memory = TextFile.Read("/proc/meminfo"u8, text);
        Number("memory_bytes"u8, TextFile.Kilobytes(memory, "MemTotal"u8));
        Number("available_bytes"u8, TextFile.Kilobytes(memory, "MemAvailable"u8));
        Number("swap_bytes"u8, TextFile.Kilobytes(memory, "SwapTotal"u8));
        ulong limit = HostMemory.CgroupLeaves();
        if (limit != ulong.MaxValue)
        {
            Number("cgroup_leaves_bytes"u8, limit);
        }

        Number("page_bytes"u8, Area.PageBytes);
        Number("hugetlb_2m_free"u8, HostMemory.PoolFree(PageKind.Huge2M));
        Number("hugetlb_1g_free"u8, HostMemory.PoolFree(PageKind.Huge1G));
        File("thp_enabled"u8, "/sys/kernel/mm/transparent_hugepage/enabled"u8);
        File("thp_defrag"u8, "/sys/kernel/mm/transparent_hugepage/defrag"u8);
        File("thp_shmem"u8, "/sys/kernel/mm/transparent_hugepage/shmem_enabled"u8);
        File("load"u8, "/proc/loadavg"u8);
        Flag("is_root"u8, SystemCalls.UserId() == 0);
        Modules.Write();
        Sink.Text("}"u8);
    }

    internal static void Text(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value)
    {
        Key(key);
        Sink.Quoted(value);
    }

    internal static void Number(ReadOnlySpan<byte> key, ulong value)
    {
        Key(key);
        Sink.Number(value);
    }

    internal static void Flag(ReadOnlySpan<byte> key, bool value)
    {
        Key(key);
        Sink.Text(value ? "true"u8 : "false"u8);
    }

    /// <summary>An object or array follows.</summary>
    internal static void Key(ReadOnlySpan<byte> key)
    {
        Sink.Text(isFirst ? "\n    "u8 : ",\n    "u8);
        isFirst = false;
        Sink.Quoted(key);
        Sink.Text(": "u8);
    }

    /// <summary>A file's text; no key where there is none.</summary>
    private static void File(ReadOnlySpan<byte> key, ReadOnlySpan<byte> path)
    {
        Span<byte> buffer = stackalloc byte[256];
        ReadOnlySpan<byte> text = TextFile.Read(path, buffer);
        if (text.Length != 0)
        {
            Text(key, text);
        }
    }

    /// <summary>How many different packages the processors name; 1 where they name none.</summary>
    internal static ulong Sockets()
    {
        ulong* seen = stackalloc ulong[64];
        int count = 0;
        Span<byte> room = stackalloc byte[128];
        for (int i = 0; i < MostProcessors; i++)
        {
            var path = new LineBuilder(room);
            path.Text("/sys/devices/system/cpu/cpu"u8);
            path.Number((ulong)i);
            path.Text("/topology/physical_package_id"u8);
            path.Character(0);
            if (!TextFile.TryNumber(path.Written, out ulong package))
            {
                break;
            }

            int at = 0;
            while (at < count && seen[at] != package)
            {
                at++;
            }

            if (at == count && count < 64)
            {
                seen[count++] = package;
            }
        }

        return count == 0 ? 1UL : (ulong)count;
    }

    private static ReadOnlySpan<byte> NameAt(byte* names, int index)
    {
        var name = new ReadOnlySpan<byte>(names + (index * NameBytes), NameBytes);
        int end = name.IndexOf(0);
        return end < 0 ? name : name.Slice(0, end);
    }
}
