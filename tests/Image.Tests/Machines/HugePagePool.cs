using System;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using Xunit;

namespace Quietus.Image.Tests.Machines;

/// <summary>Huge pages that a test adds to the host's pool, and that go when it ends, however it ends.</summary>
/// <remarks>
/// A shell holds the old number and waits for the end of a pipe from this process, so that the pool gets smaller again
/// though this process be killed.
/// </remarks>
internal sealed class HugePagePool : IDisposable
{
    private readonly string _folder;
    private readonly Process _guard;

    private HugePagePool(string folder, long before)
    {
        _folder = folder;
        var start = new ProcessStartInfo("/bin/sh") { RedirectStandardInput = true };
        start.ArgumentList.Add("-c");
        start.ArgumentList.Add("trap '' INT TERM HUP; cat > /dev/null; echo \"$1\" > \"$2/nr_hugepages\"");
        start.ArgumentList.Add("sh");
        start.ArgumentList.Add(before.ToString(CultureInfo.InvariantCulture));
        start.ArgumentList.Add(folder);
        _guard = Process.Start(start)!;
    }

    public long Free => Read("free_hugepages");

    public long Reserved => Read("resv_hugepages");

    public long Total => Read("nr_hugepages");

    /// <summary>Adds pages; skips the test where that cannot be done.</summary>
    public static HugePagePool Grow(long pageKilobytes, int pages)
    {
        string folder = $"/sys/kernel/mm/hugepages/hugepages-{pageKilobytes}kB";
        Assert.SkipUnless(Directory.Exists(folder), $"this host has no huge pages of {pageKilobytes} KB");
        long before = ReadNumber(Path.Combine(folder, "nr_hugepages"));
        var pool = new HugePagePool(folder, before);
        try
        {
            File.WriteAllText(
                Path.Combine(folder, "nr_hugepages"), (before + pages).ToString(CultureInfo.InvariantCulture));
            Assert.SkipUnless(
                pool.Total == before + pages && pool.Free - pool.Reserved >= pages,
                $"the host gives {pool.Total - before} of {pages} huge pages of {pageKilobytes} KB");
            return pool;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            pool.Dispose();
            Assert.Skip($"the pool of huge pages cannot be changed here: {error.Message}");
            throw;
        }
        catch
        {
            pool.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        _guard.StandardInput.Close();
        _guard.WaitForExit();
        _guard.Dispose();
    }

    private long Read(string name) => ReadNumber(Path.Combine(_folder, name));

    private static long ReadNumber(string path) => long.Parse(File.ReadAllText(path), CultureInfo.InvariantCulture);
}
