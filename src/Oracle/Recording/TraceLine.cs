using System;
using System.Globalization;

namespace Quietus.Oracle.Recording;

/// <summary>
/// One line of a trace, read from left to right: a word, then fields <c>name=value</c> in the one order that the word
/// has. Whatever else is there is an error, which names the line and the field.
/// </summary>
internal struct TraceLine
{
    private const int LongestText = 200;

    private readonly string _line;
    private int _at;

    public TraceLine(int number, string line)
    {
        Number = number;
        _line = line;
        int end = line.IndexOf(' ', StringComparison.Ordinal);
        Word = end < 0 ? line : line[..end];
        _at = Word.Length;
    }

    public int Number { get; }

    /// <summary>What happens.</summary>
    public string Word { get; }

    /// <summary>A number of at most <paramref name="most"/>, decimal or with 0x hexadecimal.</summary>
    public ulong Number64(string name, ulong most, ulong least = 0)
    {
        ReadOnlySpan<char> text = Value(name);
        bool isHex = text.StartsWith("0x", StringComparison.Ordinal);
        bool isNumber = ulong.TryParse(
            isHex ? text[2..] : text, isHex ? NumberStyles.AllowHexSpecifier : NumberStyles.None,
            CultureInfo.InvariantCulture, out ulong number);
        if (!isNumber)
        {
            throw Wrong($"{name} is no number of 64 bits");
        }

        if (number < least || number > most)
        {
            throw Wrong(string.Create(
                CultureInfo.InvariantCulture, $"{name} is out of range: {least} to {most} is possible"));
        }

        return number;
    }

    public int Number32(string name, int most, int least = 0) =>
        (int)Number64(name, (ulong)(uint)most, (ulong)(uint)least);

    /// <summary>A field that a line may end without; -1 where it does.</summary>
    public int LastNumber32(string name, int most) => _at == _line.Length ? -1 : Number32(name, most);

    /// <summary>One of some words; its index.</summary>
    public int OneOf(string name, params ReadOnlySpan<string> words)
    {
        ReadOnlySpan<char> text = Value(name);
        for (int i = 0; i < words.Length; i++)
        {
            if (text.SequenceEqual(words[i]))
            {
                return i;
            }
        }

        throw Wrong($"{name} must be one of {string.Join(", ", words!)}");
    }

    /// <summary>A bare word, which the caller understands.</summary>
    public string Bare(string name) => Value(name).ToString();

    /// <summary>Words for people, in quotation marks.</summary>
    public string Text(string name)
    {
        Expect(name);
        int end = _at < _line.Length && _line[_at] == '"' ? _line.IndexOf('"', _at + 1) : -1;
        if (end < 0 || end - _at - 1 is 0 or > LongestText)
        {
            throw Wrong(string.Create(
                CultureInfo.InvariantCulture, $"{name} must be 1 to {LongestText} characters in quotation marks"));
        }

        string text = _line[(_at + 1)..end];
        _at = end + 1;
        return text;
    }

    /// <summary>The line must end here.</summary>
    public readonly void End()
    {
        if (_at != _line.Length)
        {
            throw Wrong($"'{Word}' has more than its fields");
        }
    }

    public readonly TraceFormatException Wrong(string problem) => new(Number, problem);

    private ReadOnlySpan<char> Value(string name)
    {
        Expect(name);
        int end = _line.IndexOf(' ', _at);
        int start = _at;
        _at = end < 0 ? _line.Length : end;
        return _line.AsSpan(start, _at - start);
    }

    private void Expect(string name)
    {
        string field = " " + name + "=";
        if (string.CompareOrdinal(_line, _at, field, 0, field.Length) != 0)
        {
            throw Wrong($"'{Word}' needs {name}= here");
        }

        _at += field.Length;
    }
}
