using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading;
using FsCheck;
using FsCheck.Fluent;
using Shouldly;
using Xunit;

namespace Quietus.Traces.Tests;

/// <summary>
/// Whatever the input, it is read or refused with an error for people: no crash, no hang, and memory within bounds.
/// With QUIETUS_LONG set (./test --long) a hundred times as much of it.
/// </summary>
public class AnyInputTests
{
    private static readonly bool _isLong = Environment.GetEnvironmentVariable("QUIETUS_LONG") is not null;
    private static readonly Config _config =
        Config.QuickThrowOnFailure.WithMaxTest(_isLong ? 20_000 : 200);

    private static readonly byte[][] _snippets = [.. Snippet.Names.Select(name => Snippet.Read(name).Bytes)];

    /// <summary>What lines consist of: whole tokens make deeper damage than single bytes do.</summary>
    private static readonly string[] _tokens =
    [
        "\n", " ", "0x", "[001]", "(", ")", "-1", "-", ":", ": ", "/", "<-", "us", "ms", "ms (+", "ms): ", ".", "#",
        "s2map", "addr=", "size=", "18446744073709551615", "9999999999.999999:", "-9223372036854775808", "\0", "\r",
        "CPU:1 [LOST 99999999999 EVENTS]\n", "kvm_tdp_mmu_spte_changed: ", "(kvm_pgtable_stage2_destroy+0x0/0x1)",
        "new_spte ffffffffffffffff", " -- ", "mmu notifier unmap range: 0x0 -- 0xffffffffffffffff", "ä", "=> ", "[",
    ];

    [Fact]
    public void Random_bytes_are_no_trace() => Prop.ForAll(
        Arb.From(Gen.ArrayOf(Gen.Choose(0, 255).Select(value => (byte)value))),
        bytes =>
        {
            foreach (byte[] head in (byte[][])
                [
                    [], [0x1f, 0x8b, 8, 0], [0x28, 0xb5, 0x2f, 0xfd], [0xfd, .. "7zXZ\0"u8, 0, 4],
                    [.. "a-1 [0] 1.0: "u8],
                ])
            {
                ReadOrRefuse([.. head, .. bytes]);
            }
        }).Check(_config);

    [Fact]
    public void Any_form_can_be_damaged_anywhere()
    {
        Gen<(int Snippet, List<(int At, int Length, string Text)> Changes)> damage =
            from snippet in Gen.Choose(0, _snippets.Length - 1)
            from changes in Gen.ListOf(
                from at in Gen.Choose(0, 10_000)
                from length in Gen.Choose(0, 20)
                from text in Gen.Elements(_tokens)
                select (at, length, text))
            select (snippet, changes);
        Prop.ForAll(Arb.From(damage), given =>
        {
            var text = _snippets[given.Snippet].ToList();
            foreach ((int at, int length, string token) in given.Changes)
            {
                int place = at % text.Count;
                text.RemoveRange(place, Math.Min(length, text.Count - place - 1));
                text.InsertRange(place, Encoding.UTF8.GetBytes(token));
            }

            ReadOrRefuse([.. text]);
        }).Check(_config);
    }

    [Fact]
    public void Any_snippet_can_be_cut_at_any_byte()
    {
        foreach (byte[] bytes in _snippets)
        {
            for (int length = _isLong ? 1 : 97; length < bytes.Length; length += _isLong ? 1 : 97)
            {
                ReadOrRefuse(bytes[..length]);
            }
        }
    }

    /// <summary>A trace of 2 GB (--long; 16 MB without) streams: memory goes by what is in it.</summary>
    [Fact]
    public void A_large_trace_streams()
    {
        long bytes = _isLong ? 2L << 30 : 16 << 20;
        using var stream = new RepeatedText(
            Snippet.Read("ftrace-6.1-five-flags").Bytes,
            Encoding.UTF8.GetBytes(string.Concat(Enumerable.Range(0, 300).Select(i =>
                $"       CPU 0/KVM-180     [001] d....   200.{i:000000}: event_{i}: PC: 0xffff800008859390\n"))),
            bytes);
        long before = GC.GetAllocatedBytesForCurrentThread();
        HostTrace trace = TraceReader.Read(stream, CancellationToken.None);
        (GC.GetAllocatedBytesForCurrentThread() - before).ShouldBeLessThan(1 << 20);
        trace.Operations.Count.ShouldBe(4);
        trace.Counts.OtherNames.Count.ShouldBe(256);
        trace.Counts.UnnamedEvents.ShouldBeGreaterThan(1000);
        (trace.Counts.OtherNames.Sum(other => other.Count) + trace.Counts.UnnamedEvents)
            .ShouldBe(trace.Counts.OtherEvents);
        (trace.Counts.OtherEvents + trace.Counts.Used).ShouldBeGreaterThan(bytes / 100);
    }

    private static void ReadOrRefuse(byte[] bytes)
    {
        try
        {
            Sample.Read(bytes);
        }
        catch (TraceException error)
        {
            error.Message.ShouldNotBeNullOrWhiteSpace();
            error.NextStep.ShouldNotBeNullOrWhiteSpace();
        }
    }

    /// <summary>A beginning, and one text again and again.</summary>
    private sealed class RepeatedText(byte[] beginning, byte[] text, long bytes) : MemoryStream
    {
        private long _given;

        public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

        public override int Read(Span<byte> buffer)
        {
            bool isBeginning = _given < beginning.Length;
            byte[] source = isBeginning ? beginning : text;
            int at = (int)(isBeginning ? _given : (_given - beginning.Length) % text.Length);
            int read = _given >= bytes && at == 0 ? 0 : Math.Min(buffer.Length, source.Length - at);
            source.AsSpan(at, read).CopyTo(buffer);
            _given += read;
            return read;
        }
    }
}
