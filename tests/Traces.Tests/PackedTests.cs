using System;
using System.IO;
using System.Linq;
using System.Threading;
using SharpCompress.Compressors.ZStandard;
using Shouldly;
using Xunit;

namespace Quietus.Traces.Tests;

/// <summary>zstd and xz, whole, damaged and hostile. HostileTraceTests has gzip.</summary>
public class PackedTests
{
    private const string Life = "ftrace-6.1-five-flags";
    private static readonly string _read = Snippet.Describe(Snippet.Read(Life).Read());

    [Theory]
    [InlineData("life.xz")]
    [InlineData("life-blocks.xz")]
    [InlineData("life-two-streams.xz")]
    public void Xz_as_its_program_writes_it(string file) => Snippet.Describe(Sample.Read(Data(file))).ShouldBe(_read);

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Zstd_in_one_frame_or_several(int frames)
    {
        byte[] text = Snippet.Read(Life).Bytes;
        byte[] packed =
        [
            .. Enumerable.Range(0, frames).SelectMany(frame =>
                Pack(text[(text.Length * frame / frames)..(text.Length * (frame + 1) / frames)])),
        ];

        Snippet.Describe(Sample.Read(packed)).ShouldBe(_read);
    }

    [Theory]
    [InlineData("life.xz")]
    [InlineData("life-two-streams.xz")]
    public void Xz_cut_or_changed_anywhere_is_an_error(string file)
    {
        byte[] packed = Data(file);
        RefusesCuts(packed);
        RefusesChanges(packed);
    }

    [Fact]
    public void Zstd_cut_or_changed_anywhere_is_an_error()
    {
        byte[] packed = Pack(Snippet.Read(Life).Bytes);
        RefusesCuts(packed);
        RefusesChanges(packed);
    }

    [Fact]
    public void A_bomb_of_xz_is_refused() => Refuses(Data("bomb.xz"), "more than 200 times its size");

    [Fact]
    public void A_bomb_of_zstd_is_refused() => Refuses(Pack(new byte[20 << 20]), "more than 200 times its size");

    /// <summary>The head of a frame with a window of 2 GB (RFC 8878, 3.1.1.1.2: exponent 21), and a block.</summary>
    [Fact]
    public void What_would_take_gigabytes_to_unpack_is_refused() =>
        Refuses([0x28, 0xb5, 0x2f, 0xfd, 0, 21 << 3, 0x03, 0, 0x40, (byte)'x'], "more than 160 MB of memory");

    /// <summary>A dictionary of 1.5 GB of which a short text uses nothing.</summary>
    [Fact]
    public void A_large_dictionary_takes_memory_only_as_it_fills()
    {
        byte[] packed = Data("life-large-dictionary.xz");
        long before = GC.GetAllocatedBytesForCurrentThread();
        Snippet.Describe(Sample.Read(packed)).ShouldBe(_read);
        (GC.GetAllocatedBytesForCurrentThread() - before).ShouldBeLessThan(4 << 20);
    }

    [Theory]
    [InlineData("QlpoOTFBWSZTWQ==", "bzip2, zip, 7z or lz4")]
    [InlineData("UEsDBBQAAAAI", "bzip2, zip, 7z or lz4")]
    [InlineData("N3q8ryccAAQ=", "bzip2, zip, 7z or lz4")]
    [InlineData("BCJNGGRApw==", "bzip2, zip, 7z or lz4")]
    [InlineData("UEVSRklMRTJoAAAA", "perf's own file")]
    [InlineData("//4jACAAdAByAGEA", "UTF-16")]
    public void What_is_given_by_mistake_has_a_name(string bytes, string name) =>
        Refuses(Convert.FromBase64String(bytes), name);

    private static void RefusesCuts(byte[] packed)
    {
        for (int length = 1; length < packed.Length; length += 5)
        {
            Should.Throw<TraceException>(() => Sample.Read(packed[..length]), $"at byte {length}")
                .NextStep.ShouldNotBeNullOrWhiteSpace();
        }
    }

    /// <summary>Some bits carry nothing: what is read then is the same.</summary>
    private static void RefusesChanges(byte[] packed)
    {
        for (int bit = 0; bit < packed.Length * 8; bit += 13)
        {
            byte[] changed = (byte[])packed.Clone();
            changed[bit / 8] ^= (byte)(1 << (bit % 8));
            try
            {
                Snippet.Describe(Sample.Read(changed)).ShouldBe(_read, $"bit {bit}");
            }
            catch (TraceException error)
            {
                error.NextStep.ShouldNotBeNullOrWhiteSpace();
            }
        }
    }

    private static void Refuses(byte[] bytes, string part)
    {
        using var stream = new MemoryStream(bytes);
        TraceException error =
            Should.Throw<TraceException>(() => TraceReader.Read(stream, CancellationToken.None));
        error.Message.ShouldContain(part);
        error.NextStep.ShouldNotBeNullOrWhiteSpace();
    }

    private static byte[] Data(string file) =>
        File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "Data", file));

    private static byte[] Pack(byte[] bytes)
    {
        using var packed = new MemoryStream();
        using (var zstd = new CompressionStream(packed))
        {
            zstd.SetParameter(SharpCompress.Compressors.ZStandard.Unsafe.ZSTD_cParameter.ZSTD_c_checksumFlag, 1);
            zstd.Write(bytes);
        }

        return packed.ToArray();
    }
}
