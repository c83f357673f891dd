using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;

namespace Quietus.Traces;

/// <summary>
/// The events that say nothing about Stage-2, by name, so that none is passed over unseen. However many names a trace
/// has, they take little memory.
/// </summary>
internal sealed class OtherEvents
{
    /// <summary>More names than a trace has that was made to look at VMs.</summary>
    public const int MostNames = 256;

    private const int LongestName = 64;

    private readonly Dictionary<string, long> _counts = [];
    private readonly Dictionary<string, long>.AlternateLookup<ReadOnlySpan<char>> _lookup;

    public OtherEvents() => _lookup = _counts.GetAlternateLookup<ReadOnlySpan<char>>();

    /// <summary>All of them.</summary>
    public long Total { get; private set; }

    /// <summary>Those whose names came after <see cref="MostNames"/> others.</summary>
    public long Unnamed { get; private set; }

    /// <summary>By name, the most frequent first.</summary>
    public IReadOnlyList<OtherEvent> Named =>
    [
        .. _counts.Select(pair => new OtherEvent(pair.Key, pair.Value))
            .OrderByDescending(other => other.Count).ThenBy(other => other.Name, StringComparer.Ordinal),
    ];

    /// <summary>Counts one.</summary>
    public void Add(ReadOnlySpan<byte> name)
    {
        Total++;
        Span<char> text = stackalloc char[LongestName];
        int length = Encoding.ASCII.GetChars(name[..Math.Min(name.Length, LongestName)], text);
        ReadOnlySpan<char> key = text[..length];
        if (_counts.Count < MostNames || _lookup.ContainsKey(key))
        {
            _lookup[key] = _lookup.TryGetValue(key, out long count) ? count + 1 : 1;
        }
        else
        {
            Unnamed++;
        }
    }
}
