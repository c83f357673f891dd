using System.Collections.Generic;
using System.Text.Json;
using Quietus.Simulator;

namespace Quietus.Cli.Sim;

/// <summary>Machines with all of their figures, as they were used: changed ones say so in their source.</summary>
internal static class MachineJson
{
    public static void Write(Utf8JsonWriter json, IEnumerable<MachinePreset> machines)
    {
        json.WriteStartArray("machines");
        foreach (MachinePreset machine in machines)
        {
            json.WriteStartObject();
            WriteBody(json, machine);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    /// <summary>One machine, under a name of its own.</summary>
    public static void Write(Utf8JsonWriter json, string name, MachinePreset machine)
    {
        json.WriteStartObject(name);
        WriteBody(json, machine);
        json.WriteEndObject();
    }

    private static void WriteBody(Utf8JsonWriter json, MachinePreset machine)
    {
        json.WriteString("machine", machine.Name);
        json.WriteString("title", machine.Title);
        json.WriteStartObject("figures");
        foreach (Figure figure in machine.Figures)
        {
            json.WriteStartObject(figure.Key);
            json.WriteNumber("value", figure.Value);
            json.WriteString("unit", figure.Unit switch
            {
                FigureUnit.Nanoseconds => "ns",
                FigureUnit.Bytes => "bytes",
                FigureUnit.Flag => "flag",
                _ => "count",
            });
            json.WriteNumber("low", figure.Low);
            json.WriteNumber("high", figure.High);
            json.WriteString("source", figure.Source);
            json.WriteEndObject();
        }

        json.WriteEndObject();
    }
}
