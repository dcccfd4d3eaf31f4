using System.ComponentModel;
using System.Globalization;
using System.Management.Automation;

namespace C10kServer;

/// <summary>
/// Formats numbers for the views, and text that a peer may have written. Not for use in scripts, because the objects have the plain values.
/// </summary>
[EditorBrowsable(EditorBrowsableState.Never)]
public static class DisplayText
{
    private const string Units = "KMGTPE";

    /// <summary>Formats a time.</summary>
    /// <param name="time">The time, or the text of the time if the object is a copy from another process.</param>
    /// <param name="format">The format string for the wanted part of the time.</param>
    /// <returns>For instance "12:34:56". Null if there is no time.</returns>
    public static string? Time(object? time, string format)
    {
        IFormatProvider invariant = CultureInfo.InvariantCulture;
        return time switch
        {
            null => null,
            IFormattable value => value.ToString(format, invariant),
            _ when DateTimeOffset.TryParse($"{time}", invariant, DateTimeStyles.None, out DateTimeOffset read) => read.ToString(format, invariant),
            _ => Text(time),
        };
    }

    /// <summary>A value as text on one line, without anything that controls a terminal or is invisible (pitfall 56).</summary>
    /// <param name="value">The value: a string, or another object whose text is used.</param>
    /// <returns>The escaped text. Null if there is no value.</returns>
    public static string? Text(object? value) => value is null ? null : Engine.SafeText.Escape(TextOf(value));

    /// <summary>A value as text that keeps its lines. Each line is escaped in the same way as in <see cref="Text"/>.</summary>
    /// <param name="value">The value.</param>
    /// <returns>The escaped text. Null if there is no value.</returns>
    public static string? Lines(object? value) => value is null ? null : Engine.SafeText.EscapeLines(TextOf(value));

    /// <summary>A size in at most five characters, in powers of 1024.</summary>
    /// <param name="bytes">The number of bytes.</param>
    /// <returns>For instance "999", "1.0K", "12.3M".</returns>
    public static string Size(double bytes)
    {
        if (bytes < 1000)
        {
            return Math.Round(bytes).ToString("0", CultureInfo.InvariantCulture);
        }

        int unit = -1;

        // The limit is 1000 and not 1024, because 1,000K to 1,023K would be one character too wide.
        while (bytes >= 999.5 && unit < Units.Length - 1)
        {
            bytes /= 1024;
            unit++;
        }

        string format = bytes < 99.95 ? "0.0" : "0";
        return bytes.ToString(format, CultureInfo.InvariantCulture) + Units[unit];
    }

    /// <summary>
    /// The delivery rate of a connection. If it is unknown: in at most twelve characters, how to show it or why there is none.
    /// </summary>
    /// <param name="connection">The row.</param>
    /// <returns>For instance "12.3M", "add -TcpInfo".</returns>
    public static string DeliveryRate(Connection connection)
    {
        ArgumentNullException.ThrowIfNull(connection);
        return connection.DeliveryRate is { } rate ? Size(rate)
            : connection.TcpState is not null ? ""
            : connection.State == ConnectionState.Closed ? "closed"
            : connection.RemoteAddress is null ? "no TCP"
            : "add -TcpInfo";
    }

    /// <summary>A duration in at most eight characters, to the second.</summary>
    /// <param name="value">The duration.</param>
    /// <returns>For instance "0:07", "1:02:03", "3d04h".</returns>
    public static string Duration(TimeSpan value)
    {
        IFormatProvider invariant = CultureInfo.InvariantCulture;
        return value.TotalHours < 1 ? string.Create(invariant, $"{value.Minutes}:{value.Seconds:00}")
            : value.TotalDays < 1 ? string.Create(invariant, $"{value.Hours}:{value.Minutes:00}:{value.Seconds:00}")
            : string.Create(invariant, $"{value.Days}d{value.Hours:00}h");
    }

    /// <summary>A latency in at most seven characters, to three digits.</summary>
    /// <param name="value">The latency.</param>
    /// <returns>For instance "87.5 us", "1.23 ms", "12.3 s".</returns>
    public static string Latency(TimeSpan value)
    {
        double number = value.TotalMicroseconds;
        string unit = "us";

        // 999.5 would be rounded to 1000.
        if (number >= 999.5)
        {
            number /= 1000;
            unit = "ms";
        }

        if (number >= 999.5)
        {
            number /= 1000;
            unit = "s";
        }

        string format = number < 9.995 ? "0.00" : number < 99.95 ? "0.0" : "0";
        return $"{number.ToString(format, CultureInfo.InvariantCulture)} {unit}";
    }

    // This is the shell's own text for an object, which contains the elements of an array for instance.
    private static string TextOf(object value) => value as string ?? PSObject.AsPSObject(value).ToString();
}
