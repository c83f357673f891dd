using System;
using System.Runtime;
using Quietus.Hypervisor.DeviceTrees;
using Quietus.Hypervisor.Machine;
using Quietus.Wire;

namespace Quietus.Hypervisor.Boot;

/// <summary>
/// Why this machine cannot be used: said on whatever UART its device tree names, kept in memory at the image's symbol
/// last_words_text, and followed by PSCI SYSTEM_OFF where the tree says how to call it (docs/guests.md).
/// </summary>
internal static unsafe class LastWords
{
    private static LastResort _machine;

    /// <summary>Looks for a UART and the firmware. Until then words only go into memory.</summary>
    internal static void Prepare(ReadOnlySpan<byte> deviceTree) => _machine = LastResort.Read(deviceTree);

    /// <summary>Says it, and switches the machine off, or halts it.</summary>
    /// <param name="why">What is wrong.</param>
    /// <param name="detail">More of it; may be empty.</param>
    internal static void Say(ReadOnlySpan<byte> why, ReadOnlySpan<byte> detail)
    {
        // Invariant: Boot/Start.S keeps so many bytes there, for nothing else.
        const int Room = 384;
        byte* text = (byte*)Instructions.ImageAddress(ImageBoundary.LastWords);
        LineBuilder line = new(new Span<byte>(text, Room));
        line.Text("quietus: cannot run on this machine: "u8);
        line.Text(why);
        if (detail.Length != 0)
        {
            line.Text(" ("u8);
            line.Text(detail);
            line.Text(")"u8);
        }

        line.Text("\r\n"u8);
        Instructions.SayLastWords(
            text,
            line.Written.Length,
            _machine.Uart,
            (int)_machine.Kind,
            _machine.RegisterShift,
            (int)_machine.Conduit);
    }

    /// <summary>Started at EL1 (Boot/Start.S): just far enough to say so.</summary>
    [RuntimeExport("quietus_wrong_level")]
    private static void WrongLevel(ulong deviceTree)
    {
        _ = Entry.ReadDeviceTree(deviceTree, out ReadOnlySpan<byte> blob, out _);
        Prepare(blob);
        Say(
            "started at EL1, but a hypervisor needs EL2"u8,
            "QEMU: -M virt,virtualization=on,gic-version=3"u8);
    }
}
