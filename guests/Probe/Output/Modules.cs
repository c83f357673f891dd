using System;
using Quietus.Probe.Linux;
using Quietus.Wire;

namespace Quietus.Probe.Output;

/// <summary>KVM's modules and their parameters, as /sys/module shows them to everyone.</summary>
/// <remarks>
/// Invariant: a folder's entries are struct linux_dirent64: inode and offset of 8 bytes, the record's length at 16, a
/// type at 18, the name at 19, which ends in 0 within the record.
/// </remarks>
internal static unsafe class Modules
{
    private const int MostEntries = 8192;
    private const int LengthAt = 16;
    private const int NameAt = 19;

    /// <summary>The object "kvm_parameters": "module.parameter": "value".</summary>
    internal static void Write()
    {
        Facts.Key("kvm_parameters"u8);
        Sink.Text("{"u8);
        bool isFirst = true;
        WriteModule("/sys/module/kvm/parameters"u8, "kvm."u8, ref isFirst);
        WriteModule("/sys/module/kvm_intel/parameters"u8, "kvm_intel."u8, ref isFirst);
        WriteModule("/sys/module/kvm_amd/parameters"u8, "kvm_amd."u8, ref isFirst);
        WriteModule("/sys/module/kvm_pvm/parameters"u8, "kvm_pvm."u8, ref isFirst);
        WriteModule("/sys/module/kvm_arm/parameters"u8, "kvm_arm."u8, ref isFirst);
        Sink.Text("}"u8);
    }

    /// <summary>Whether a parameter is Y or 1.</summary>
    internal static bool IsOn(ReadOnlySpan<byte> path)
    {
        Span<byte> buffer = stackalloc byte[64];
        ReadOnlySpan<byte> value = TextFile.Read(path, buffer);
        return value.Length != 0 && value[0] is (byte)'Y' or (byte)'1';
    }

    /// <summary>Whether a folder or file is there.</summary>
    internal static bool Exists(ReadOnlySpan<byte> path)
    {
        long file = SystemCalls.Open(path, 0);
        if (file >= 0)
        {
            SystemCalls.Close((int)file);
        }

        return file >= 0;
    }

    private static void WriteModule(ReadOnlySpan<byte> folder, ReadOnlySpan<byte> prefix, ref bool isFirst)
    {
        long file = SystemCalls.Open(folder, 0);
        if (file < 0)
        {
            return;
        }

        byte* entries = stackalloc byte[MostEntries];
        long got;
        while ((got = SystemCalls.ReadFolder((int)file, entries, MostEntries)) > 0)
        {
            for (long at = 0; at < got; at += *(ushort*)(entries + at + LengthAt))
            {
                int room = *(ushort*)(entries + at + LengthAt) - NameAt;
                var name = new ReadOnlySpan<byte>(entries + at + NameAt, room);
                name = name.Slice(0, name.IndexOf(0));
                if (name[0] != (byte)'.')
                {
                    WriteOne(folder, prefix, name, ref isFirst);
                }
            }
        }

        SystemCalls.Close((int)file);
    }

    private static void WriteOne(
        ReadOnlySpan<byte> folder, ReadOnlySpan<byte> prefix, ReadOnlySpan<byte> name, ref bool isFirst)
    {
        Span<byte> buffer = stackalloc byte[128];
        Span<byte> key = stackalloc byte[128];
        ReadOnlySpan<byte> value = TextFile.Read(folder, name, buffer);
        var line = new LineBuilder(key);
        line.Text(prefix);
        line.Text(name);
        Sink.Text(isFirst ? "\n      "u8 : ",\n      "u8);
        isFirst = false;
        Sink.Quoted(line.Written);
        Sink.Text(": "u8);
        Sink.Quoted(value);
    }
}
