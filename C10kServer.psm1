# Loads the cmdlets and hooks removal; everything else is in C#.
$assembly = "$PSScriptRoot/bin/C10kServer.Cmdlets.dll"
if (-not [System.IO.File]::Exists($assembly)) {
    throw [System.IO.FileNotFoundException]::new(
        "C10kServer is not built yet: $assembly is missing. Run 'dotnet build' in $PSScriptRoot, then import the module again.", $assembly)
}

Import-Module -Name $assembly

# The assembly is told too where it was loaded as a module itself; whichever comes second finds nothing left to stop.
$ExecutionContext.SessionState.Module.OnRemove = { [C10kServer.ModuleLifetime]::new().OnRemove($null) }
