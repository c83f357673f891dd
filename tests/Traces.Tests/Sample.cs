using System;
using System.IO;
using System.IO.Compression;
using System.Text;
using System.Threading;

namespace Quietus.Traces.Tests;

/// <summary>Traces: real ones, and such as tests write.</summary>
internal static class Sample
{
    /// <summary>A VM of two pages: mapped, one page relaxed, unmapped by the notifier, destroyed.</summary>
    public static string Small { get; } =
        File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "Data", "small.txt"));

    public static string PathOf(string name) =>
        Path.Combine(AppContext.BaseDirectory, "Data", name + ".txt.gz");

    public static HostTrace Real(string name) => Read(File.ReadAllBytes(PathOf(name)));

    public static HostTrace Read(string text) => Read(Encoding.UTF8.GetBytes(text));

    public static HostTrace Read(byte[] bytes)
    {
        using var stream = new MemoryStream(bytes);
        return TraceReader.Read(stream, CancellationToken.None);
    }

    public static byte[] Pack(byte[] bytes)
    {
        using var packed = new MemoryStream();
        using (var gzip = new GZipStream(packed, CompressionLevel.Optimal))
        {
            gzip.Write(bytes);
        }

        return packed.ToArray();
    }
}
