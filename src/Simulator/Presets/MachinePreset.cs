using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;

namespace Quietus.Simulator;

/// <summary>
/// A machine as the simulator knows it: topology, features, and what each operation costs. Every figure has a source
/// or is marked an assumption (<see cref="Simulator.Figure"/>). The value never changes; <see cref="With"/> gives
/// another.
/// </summary>
public sealed class MachinePreset
{
    /// <summary>The architecture of a preset that names none.</summary>
    public const string Arm64 = "arm64";

    private readonly Dictionary<string, Figure> _figures;
    private readonly FigureTable _table;

    internal MachinePreset(string name, string title, string architecture, Dictionary<string, Figure> figures)
    {
        Name = name;
        Title = title;
        Architecture = architecture;
        _table = FigureTable.Of(architecture);
        _figures = figures;
    }

    /// <summary>Short name, that of its file without the extension.</summary>
    public string Name { get; }

    /// <summary>What machine it is, for people.</summary>
    public string Title { get; }

    /// <summary>
    /// Whose hook it has: <see cref="Arm64"/>, or the name of one of src/Architectures.
    /// </summary>
    public string Architecture { get; }

    /// <summary>Whether it has the figures of arm64's engine, and none of another architecture's.</summary>
    public bool IsArm64 => Architecture == Arm64;

    /// <summary>Every figure, in the order of the documentation.</summary>
    public IReadOnlyList<Figure> Figures => [.. _table.Kinds.Select(kind => _figures[kind.Key])];

    /// <summary>Sockets.</summary>
    public int Sockets => (int)this["sockets"];

    /// <summary>PEs of all sockets.</summary>
    public int Pes => (int)this["pes"];

    /// <summary>PEs of one socket.</summary>
    public int PesPerSocket => Pes / Sockets;

    /// <summary>RAM of all sockets, in bytes.</summary>
    public ulong MemoryBytes => (ulong)this["memory"];

    /// <summary>FEAT_S2FWB, and in use.</summary>
    public bool HasForcedWriteBack => IsArm64 && this["forced_write_back"] != 0;

    /// <summary>FEAT_TLBIRANGE.</summary>
    public bool HasRangeInvalidation => IsArm64 && this["range_tlbi"] != 0;

    /// <summary>A figure's value: nanoseconds, bytes, things, or 1 and 0.</summary>
    public double this[string key] => _figures[key].Value;

    /// <summary>A figure; <see langword="null"/> when no preset has one of that key.</summary>
    public Figure? Find(string key) => _figures.GetValueOrDefault(key);

    /// <summary>Reads a preset's file.</summary>
    /// <exception cref="PresetException">It cannot be read, or is no preset of a possible machine.</exception>
    public static MachinePreset Load(string path)
    {
        byte[] text;
        try
        {
            text = File.ReadAllBytes(path);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new PresetException(path, 0, "cannot be read", exception.Message);
        }

        return PresetReader.Read(path, text);
    }

    /// <summary>Reads a preset from text.</summary>
    /// <param name="file">What to call it in errors.</param>
    /// <param name="text">The JSON document.</param>
    /// <exception cref="PresetException">It is no preset of a possible machine.</exception>
    public static MachinePreset Parse(string file, string text) =>
        PresetReader.Read(file, Encoding.UTF8.GetBytes(text));

    /// <summary>Loads a preset of a folder by its name, such as <c>d05</c>.</summary>
    /// <exception cref="PresetException">There is none of that name, or it cannot be used.</exception>
    public static MachinePreset Named(string folder, string name)
    {
        IReadOnlyList<string> names = Names(folder);
        return names.Contains(name)
            ? Load(Path.Combine(folder, name + ".json"))
            : throw new PresetException(
                folder, 0, $"there is no machine '{name}'", $"There are: {string.Join(", ", names)}.");
    }

    /// <summary>The names of a folder's presets, sorted.</summary>
    public static IReadOnlyList<string> Names(string folder) =>
        Directory.Exists(folder)
            ? [.. Directory.EnumerateFiles(folder, "*.json").Select(Path.GetFileNameWithoutExtension)
                .OfType<string>().Order(StringComparer.Ordinal)]
            : [];

    /// <summary>The same machine with one figure changed, as <c>--set key=value</c> says it.</summary>
    /// <param name="assignment">Such as <c>dc_line_remote=20ns</c>, <c>sockets=1</c>, <c>range_tlbi=true</c>.</param>
    /// <exception cref="PresetException">No such key, no such value, or no such machine.</exception>
    public MachinePreset With(string assignment)
    {
        const string origin = "--set";
        int split = assignment.IndexOf('=', StringComparison.Ordinal);
        if (split <= 0)
        {
            throw new PresetException(
                origin, 0, $"'{assignment}' is not key=value", "Write it as dc_line_local=8ns, say.");
        }

        string key = assignment[..split].Trim();
        FigureKind kind = _table.Find(key)
            ?? throw new PresetException(origin, 0, $"there is no figure '{key}'", _table.Suggest(key));
        if (!FigureText.TryParse(assignment[(split + 1)..], kind.Unit, out double value))
        {
            throw new PresetException(
                origin, 0, $"'{assignment[(split + 1)..]}' is no value for {key}",
                $"It takes {FigureText.Example(kind.Unit)}.");
        }

        return With(key, value, origin);
    }

    /// <summary>The same machine with one figure changed.</summary>
    /// <param name="key">The figure.</param>
    /// <param name="value">In nanoseconds, bytes, things, or 1 and 0.</param>
    /// <param name="source">Where the value comes from.</param>
    /// <exception cref="PresetException">No such key, or no such machine.</exception>
    public MachinePreset With(string key, double value, string source)
    {
        Figure old = Find(key)
            ?? throw new PresetException(source, 0, $"there is no figure '{key}'", _table.Suggest(key));
        var figures = new Dictionary<string, Figure>(_figures)
        {
            [key] = old with { Value = value, Source = source, Low = value, High = value },
        };
        MachineRules.Check(source, _ => 0, figures, _table);
        return new MachinePreset(Name, Title, Architecture, figures);
    }
}
