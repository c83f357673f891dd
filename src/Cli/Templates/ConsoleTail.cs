using System;
using System.Text;
using System.Threading;

namespace Quietus.Cli.Templates;

/// <summary>The end of what a guest printed: enough to see why it did not come up, and never more.</summary>
internal sealed class ConsoleTail
{
    private const int Most = 8 * 1024;

    private readonly byte[] _ring = new byte[Most];
    private readonly Lock _lock = new();
    private long _total;

    public void Take(ReadOnlySpan<byte> bytes)
    {
        lock (_lock)
        {
            foreach (byte value in bytes[Math.Max(0, bytes.Length - Most)..])
            {
                _ring[_total++ % Most] = value;
            }
        }
    }

    public override string ToString()
    {
        lock (_lock)
        {
            int count = (int)Math.Min(_total, Most);
            byte[] bytes = new byte[count];
            for (int i = 0; i < count; i++)
            {
                bytes[i] = _ring[(_total - count + i) % Most];
            }

            return Encoding.UTF8.GetString(bytes);
        }
    }
}
