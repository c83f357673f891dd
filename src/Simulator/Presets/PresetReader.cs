using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text.Json;

namespace Quietus.Simulator;

/// <summary>
/// Reads a preset's JSON, and says of everything that is wrong in which line. The document, schema
/// <c>quietus.machine/1</c>:
/// <code>
/// { "schema": "quietus.machine/1", "name": "d05", "title": "…", "architecture": "arm64",
///   "topology": { "sockets": { "value": 2, "unit": "count", "source": "…" }, … },
///   "features": { … },
///   "costs": { "dc_line_local": { "value": 9, "unit": "ns", "source": "assumption: …", "range": [5, 11] }, … } }
/// </code>
/// The architecture, arm64 where it is left out, stands before the figures: it decides which there are.
/// </summary>
internal ref struct PresetReader
{
    private const string Schema = "quietus.machine/1";

    private readonly string _file;
    private readonly byte[] _text;
    private readonly Dictionary<string, Figure> _figures = [];
    private readonly Dictionary<string, int> _lines = [];
    private Utf8JsonReader _reader;
    private string _architecture = MachinePreset.Arm64;
    private FigureTable _table = FigureTable.Arm64;

    private PresetReader(string file, byte[] text)
    {
        _file = file;
        _text = text;
        _reader = new Utf8JsonReader(text, new JsonReaderOptions { CommentHandling = JsonCommentHandling.Skip });
    }

    internal static MachinePreset Read(string file, byte[] text)
    {
        var reader = new PresetReader(file, text);
        try
        {
            return reader.ReadDocument();
        }
        catch (JsonException exception)
        {
            int line = (int)(exception.LineNumber ?? 0) + 1;
            throw new PresetException(file, line, "this is no JSON", exception.Message);
        }
    }

    private MachinePreset ReadDocument()
    {
        string? schema = null;
        string? title = null;
        string name = Path.GetFileNameWithoutExtension(_file);
        _reader.Read();
        Expect(JsonTokenType.StartObject, "an object");
        while (NextKey() is { } key)
        {
            switch (key)
            {
                case "schema":
                    schema = ReadString(key);
                    if (schema != Schema)
                    {
                        throw Wrong($"the schema is '{schema}'", $"This program reads {Schema}.");
                    }

                    break;

                case "name":
                    string written = ReadString(key);
                    if (written != name)
                    {
                        throw Wrong($"the name is '{written}'", $"It has to be that of the file, '{name}'.");
                    }

                    break;

                case "title":
                    title = ReadString(key);
                    break;

                case "architecture":
                    _architecture = ReadString(key);
                    if (_figures.Count != 0)
                    {
                        throw Wrong("the architecture follows figures", "Name it before the first of them.");
                    }

                    _table = FigureTable.Of(_architecture);
                    break;

                default:
                    if (!_table.Groups.Contains(key))
                    {
                        throw Wrong(
                            $"unknown key '{key}'",
                            $"There are: schema, name, title, architecture, {string.Join(", ", _table.Groups)}.");
                    }

                    ReadGroup(key);
                    break;
            }
        }

        if (_reader.Read())
        {
            throw Wrong("something follows the document", "Remove it.");
        }

        CheckComplete(schema, title);
        Dictionary<string, int> lines = _lines;
        MachineRules.Check(_file, lines.GetValueOrDefault, _figures, _table);
        return new MachinePreset(name, title!, _architecture, _figures);
    }

    private readonly void CheckComplete(string? schema, string? title)
    {
        string[] missing =
        [
            .. new[] { schema == null ? "schema" : null, title == null ? "title" : null }.OfType<string>(),
            .. _table.Kinds.Where(kind => !kind.IsOptional).Select(kind => kind.Key).Except(_figures.Keys),
        ];
        if (missing.Length != 0)
        {
            throw new PresetException(
                _file, 0, $"it lacks {string.Join(", ", missing)}",
                "Every preset has every figure: what is not known is an assumption with a range.");
        }

        foreach (FigureKind kind in _table.Kinds.Where(kind => kind.IsOptional))
        {
            _figures.TryAdd(
                kind.Key, new Figure(kind.Key, kind.Group, 0, kind.Unit, "left out: 0", 0, 0, kind.Meaning));
        }
    }

    private void ReadGroup(string group)
    {
        _reader.Read();
        Expect(JsonTokenType.StartObject, $"the object of {group}");
        while (NextKey() is { } key)
        {
            FigureKind? kind = _table.Find(key);
            if (kind == null)
            {
                throw Wrong($"unknown figure '{key}'", _table.Suggest(key));
            }

            if (kind.Group != group)
            {
                throw Wrong($"{key} stands in {group}", $"It belongs to {kind.Group}.");
            }

            _lines[key] = Line;
            if (!_figures.TryAdd(key, ReadFigure(kind)))
            {
                throw Wrong($"{key} is there twice", "Remove one.");
            }
        }
    }

    private Figure ReadFigure(FigureKind kind)
    {
        double? value = null;
        string? unit = null;
        string? source = null;
        (double Low, double High)? range = null;
        int line = Line;
        _reader.Read();
        Expect(JsonTokenType.StartObject, $"{{ \"value\": …, \"unit\": …, \"source\": … }} for {kind.Key}");
        while (NextKey() is { } key)
        {
            switch (key)
            {
                case "value":
                    value = ReadValue(kind);
                    break;

                case "unit":
                    unit = ReadString(key);
                    break;

                case "source":
                    source = ReadString(key);
                    break;

                case "range":
                    range = ReadRange(kind);
                    break;

                default:
                    throw Wrong($"unknown key '{key}' in {kind.Key}", "There are: value, unit, source, range.");
            }
        }

        if (value is not { } given || string.IsNullOrWhiteSpace(source) || unit == null)
        {
            throw new PresetException(
                _file, line, $"{kind.Key} lacks its value, unit or source",
                "A figure says all three; a source may be \"assumption\".");
        }

        if (!FigureText.TryScale(unit, kind.Unit, out double scale))
        {
            throw new PresetException(
                _file, line, $"'{unit}' is no unit for {kind.Key}", $"It takes {FigureText.Units(kind.Unit)}.");
        }

        return Ranged(kind, given * scale, source, range is { } r ? (r.Low * scale, r.High * scale) : null, line);
    }

    private readonly Figure Ranged(
        FigureKind kind, double value, string source, (double Low, double High)? range, int line)
    {
        (double low, double high) = range ?? (value, value);
        var figure = new Figure(kind.Key, kind.Group, value, kind.Unit, source, low, high, kind.Meaning);
        if (low > value || high < value)
        {
            throw new PresetException(
                _file, line, $"the value of {kind.Key} lies outside its range", "Widen the range, or mend the value.");
        }

        if (figure.IsAssumption && range == null && kind.Unit != FigureUnit.Flag)
        {
            throw new PresetException(
                _file, line, $"{kind.Key} is assumed without a range",
                "Give \"range\": [low, high], so that the sensitivity to it can be shown.");
        }

        return figure;
    }

    private double ReadValue(FigureKind kind)
    {
        _reader.Read();
        if (kind.Unit == FigureUnit.Flag && _reader.TokenType is JsonTokenType.True or JsonTokenType.False)
        {
            return _reader.TokenType == JsonTokenType.True ? 1 : 0;
        }

        if (kind.Unit == FigureUnit.Flag || _reader.TokenType != JsonTokenType.Number)
        {
            throw Wrong(
                $"the value of {kind.Key} is no {(kind.Unit == FigureUnit.Flag ? "true or false" : "number")}",
                "The unit stands apart, in \"unit\".");
        }

        return ReadNumber(kind);
    }

    private (double Low, double High) ReadRange(FigureKind kind)
    {
        _reader.Read();
        Expect(JsonTokenType.StartArray, "[low, high]");
        Span<double> ends = stackalloc double[2];
        for (int i = 0; i < 2; i++)
        {
            _reader.Read();
            Expect(JsonTokenType.Number, "[low, high]");
            ends[i] = ReadNumber(kind);
        }

        _reader.Read();
        Expect(JsonTokenType.EndArray, "[low, high]");
        return (ends[0], ends[1]);
    }

    private readonly double ReadNumber(FigureKind kind)
    {
        double value = _reader.GetDouble();
        bool isWhole = kind.Unit == FigureUnit.Nanoseconds || value == Math.Floor(value);
        return double.IsFinite(value) && value >= 0 && isWhole
            ? value
            : throw Wrong($"{value:R} is no value for {kind.Key}", $"It takes {FigureText.Example(kind.Unit)}.");
    }

    private string? NextKey()
    {
        _reader.Read();
        return _reader.TokenType == JsonTokenType.PropertyName ? _reader.GetString() : null;
    }

    private string ReadString(string key)
    {
        _reader.Read();
        Expect(JsonTokenType.String, $"a string for {key}");
        return _reader.GetString()!;
    }

    private readonly void Expect(JsonTokenType type, string what)
    {
        if (_reader.TokenType != type)
        {
            throw Wrong($"here should be {what}", "See the other files of the folder.");
        }
    }

    /// <summary>The line of the token that was read last.</summary>
    private readonly int Line => 1 + _text.AsSpan(0, (int)_reader.TokenStartIndex).Count((byte)'\n');

    private readonly PresetException Wrong(string problem, string remedy) => new(_file, Line, problem, remedy);
}
