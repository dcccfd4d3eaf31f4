# The types and views of C10kServer. The module's script imports this, one runspace at a time: see C10kServer.psm1.
@{
    ModuleVersion     = '1.0'
    GUID              = 'a4c7d0c6-3f38-4a5e-9d52-6f0b1b7b9f43'
    TypesToProcess    = @('C10kServer.types.ps1xml')
    FormatsToProcess  = @('C10kServer.format.ps1xml')
    CmdletsToExport   = @()
    FunctionsToExport = @()
    VariablesToExport = @()
    AliasesToExport   = @()
}
