using System.Collections;
using System.Management.Automation;

namespace C10kServer.Scripting;

/// <summary>
/// Looks for a script block in a value that handlers are to get. A script block belongs to the runspace that it comes from: if a handler
/// called it, the call would wait for that runspace's thread, which may never come.
/// </summary>
/// <remarks>
/// The search looks into arrays, lists and other collections, hashtables, the properties and methods that were added to a PSObject, and
/// delegates that were made from a script block. It does not look into the properties of .NET objects, because their getters may do anything.
/// </remarks>
internal static class ScriptBlockSearch
{
    // These limits are enough for any value that a person writes, and end the search in a value that has no end.
    private const int MostObjects = 10_000;
    private const int MostLevels = 32;

    /// <summary>
    /// The path of the first script block, as one would write it after the value's name. The path is empty if the value itself is the block,
    /// and null if there is none.
    /// </summary>
    internal static string? PathIn(object? value) => new Walk().Find(value, 0);

    private sealed class Walk
    {
        // Objects are compared by reference, so that no comparer of the user's code is called. The set also ends the search in a cycle.
        private readonly HashSet<object> _seen = new(ReferenceEqualityComparer.Instance);

        internal string? Find(object? value, int level)
        {
            // A [pscustomobject] is identified by its PSObject, because all of them wrap the same object.
            object? plain = value is PSObject { BaseObject: not PSCustomObject and var wrapped } ? wrapped : value;
            if (plain is ScriptBlock)
            {
                return "";
            }

            if (plain is null or string || plain.GetType().IsPrimitive || level > MostLevels || _seen.Count >= MostObjects || !_seen.Add(plain))
            {
                return null;
            }

            if (plain is ICollection { IsSynchronized: true } shared)
            {
                // Other threads may change the collection, and an enumeration does not take its lock.
                lock (shared.SyncRoot)
                {
                    return FindIn(plain, level);
                }
            }

            return FindIn(plain, level);
        }

        private string? FindIn(object plain, int level) =>
            FindInMembers(plain, level) ?? plain switch
            {
                Delegate { Target: { } target } when IsOfScriptBlock(target) => "",
                IDictionary table => FindInTable(table, level),
                Array { Rank: 1 } array when !IsOfValues(array.GetType().GetElementType()!) => FindInList(array, level),
                Array => null,
                IEnumerable many when IsCollection(many.GetType()) => FindInList(many, level),
                _ => null,
            };

        /// <summary>The shell makes a delegate as a compiled expression, which has the script block among its constants.</summary>
        private static bool IsOfScriptBlock(object target) =>
            target.GetType().GetField("Constants")?.GetValue(target) is object?[] constants && constants.Any(static constant => constant is ScriptBlock);

        private static bool IsOfValues(Type element) => element == typeof(string) || element.IsPrimitive || element.IsEnum;

        /// <summary>
        /// Whether the type is a collection that already holds its elements. Other enumerables may make their elements when they are
        /// enumerated, or may be used up by that.
        /// </summary>
        private static bool IsCollection(Type type) =>
            typeof(ICollection).IsAssignableFrom(type) || type.GetInterfaces().Any(static face =>
                face.IsGenericType
                && (face.GetGenericTypeDefinition() == typeof(ICollection<>) || face.GetGenericTypeDefinition() == typeof(IReadOnlyCollection<>))
                && !IsOfValues(face.GetGenericArguments()[0]));

        private string? FindInTable(IDictionary table, int level)
        {
            foreach (DictionaryEntry entry in table)
            {
                if (Find(entry.Value, level + 1) is { } path)
                {
                    return $"['{entry.Key}']{path}";
                }
            }

            return null;
        }

        private string? FindInList(IEnumerable list, int level)
        {
            int index = 0;
            foreach (object? item in list)
            {
                if (Find(item, level + 1) is { } path)
                {
                    return $"[{index}]{path}";
                }

                index++;
            }

            return null;
        }

        /// <summary>Searches the members that were added to the object itself, by [pscustomobject], Add-Member and the like.</summary>
        private string? FindInMembers(object plain, int level)
        {
            foreach (PSMemberInfo member in PSObject.AsPSObject(plain).Members.Where(static member => member.IsInstance))
            {
                string? path = member switch
                {
                    PSScriptMethod => "()",
                    PSScriptProperty => "",
                    PSNoteProperty note => Find(note.Value, level + 1),
                    _ => null,
                };
                if (path is not null)
                {
                    return $".{member.Name}{path}";
                }
            }

            return null;
        }
    }
}
