using System.IO;

namespace Quietus.Hypervisor.Tests.DeviceTrees;

internal static class TestData
{
    public static byte[] Read(string name)
    {
        using Stream stream = typeof(TestData).Assembly.GetManifestResourceStream(name)
            ?? throw new FileNotFoundException(name);
        using var copy = new MemoryStream();
        stream.CopyTo(copy);
        return copy.ToArray();
    }
}
